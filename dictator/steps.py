"""The steps that a plan is made of. Data only: each states an intent, and holds no figure that was observed. Pure.

A new step is one class here and one handler in dictator/execute/.
"""

from dataclasses import dataclass

from dictator.instance import Instance
from dictator.lineage import Record


class Step:
    """What a plan consists of; `str` says it in one line, for the log and the dry run."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The kind of step in one word, as the receipt shows it."""
        return type(self).__name__.lower()


@dataclass(frozen=True, slots=True)
class CheckRights(Step):
    """Make sure that the dictator's user may run every command of the plan on these instances."""

    instances: tuple[Instance, ...]

    def __str__(self) -> str:
        return f"check the rights on {_names(self.instances)}"


@dataclass(frozen=True, slots=True)
class Park(Step):
    """Put the role fence on a master that is to become a slave, and make sure that nothing would be lost with it."""

    instance: Instance
    source: Instance
    forced: bool

    def __str__(self) -> str:
        return f"park {self.instance}"


@dataclass(frozen=True, slots=True)
class Lift(Step):
    """Make a parked instance, or a copy that is chosen to survive, a writable master, and record it."""

    instance: Instance
    record: Record

    def __str__(self) -> str:
        return f"lift {self.instance} ({self.record})"


@dataclass(frozen=True, slots=True)
class WriteRecord(Step):
    """Write the lineage record to the master."""

    instance: Instance
    record: Record

    def __str__(self) -> str:
        return f"record at {self.instance}: {self.record}"


@dataclass(frozen=True, slots=True)
class Replan(Step):
    """Observe again and plan anew: what comes next depends on what the steps before have brought about."""

    def __str__(self) -> str:
        return "observe again and plan anew"


@dataclass(frozen=True, slots=True)
class Prepare(Step):
    """Make the target a direct slave of the source, and wait until it is in sync; the source goes on taking writes."""

    target: Instance
    source: Instance

    def __str__(self) -> str:
        return f"prepare {self.target} as a slave of {self.source}"


@dataclass(frozen=True, slots=True)
class Reparent(Step):
    """Hang slaves that follow something else, and instances that are parked, under the source."""

    slaves: tuple[Instance, ...]
    source: Instance

    def __str__(self) -> str:
        return f"reparent {_names(self.slaves)} under {self.source}"


@dataclass(frozen=True, slots=True)
class Verify(Step):
    """Make sure that the target would keep what it is given (its log, its role on disk, its memory).

    And that none of the others has become a master meanwhile: it may have what the source has, and more.
    """

    target: Instance
    source: Instance
    forced: bool
    others: tuple[Instance, ...]

    def __str__(self) -> str:
        return f"verify that {self.target} can take over from {self.source}"


@dataclass(frozen=True, slots=True)
class Intend(Step):
    """Record at the source that it is about to hand over to the target, and wait until the target has that record."""

    source: Instance
    target: Instance
    record: Record

    def __str__(self) -> str:
        return f"intend {self.record}"


@dataclass(frozen=True, slots=True)
class Halt(Step):
    """Stop the other slaves where they are, until they follow the new master.

    Slaves of the target would lose their links at its promotion, and all come back at once while clients wait.
    """

    slaves: tuple[Instance, ...]

    def __str__(self) -> str:
        return f"halt {_names(self.slaves)} for the handover"


@dataclass(frozen=True, slots=True)
class Pause(Step):
    """Hold writes back at the source for a bounded time: a courtesy to clients, which wait instead of failing."""

    source: Instance

    def __str__(self) -> str:
        return f"pause writes at {self.source}"


@dataclass(frozen=True, slots=True)
class Drain(Step):
    """Wait until the target has applied everything that the source held when it was last asked."""

    target: Instance
    source: Instance

    def __str__(self) -> str:
        return f"drain {self.source} into {self.target}"


@dataclass(frozen=True, slots=True)
class Fence(Step):
    """Put the role fence on the source, which then refuses writes, if it still holds `record`."""

    source: Instance
    record: Record
    forced: bool

    def __str__(self) -> str:
        return f"fence {self.source}"


@dataclass(frozen=True, slots=True)
class Promote(Step):
    """Make the target the master, check that its history continues the source's, and record that it serves."""

    target: Instance
    source: Instance
    record: Record

    def __str__(self) -> str:
        return f"promote {self.target}"


@dataclass(frozen=True, slots=True)
class HandOver(Step):
    """Make the source, and the slaves that were halted, slaves of the target. From here on, only forward."""

    source: Instance
    target: Instance

    def __str__(self) -> str:
        return f"hand over {self.source} to {self.target}"


@dataclass(frozen=True, slots=True)
class Follow(Step):
    """Make every slave follow the master, and wait a short time for their links."""

    slaves: tuple[Instance, ...]
    master: Instance

    def __str__(self) -> str:
        return f"follow {self.master} with {_names(self.slaves)}"


@dataclass(frozen=True, slots=True)
class Tidy(Step):
    """Take back another tool's leftover fence: a min-replicas-to-write of 1000000 or more."""

    instances: tuple[Instance, ...]

    def __str__(self) -> str:
        return f"tidy {_names(self.instances)}"


def _names(instances: tuple[Instance, ...]) -> str:
    return ", ".join(str(instance) for instance in instances)
