"""The steps that a plan is made of. Data only: each states an intent, and holds no figure that was observed. Pure."""

from dataclasses import dataclass

from dictator.observation import Instance


@dataclass(frozen=True, slots=True)
class Park:
    """Put the role fence on a master that is to become a slave, and make sure that nothing would be lost with it."""

    instance: Instance
    source: Instance
    forced: bool


@dataclass(frozen=True, slots=True)
class Lift:
    """Make a parked instance, or a copy that is chosen to survive, a writable master."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Replan:
    """Observe again and plan anew: what comes next depends on what the steps before have brought about."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make the target a direct slave of the source, and wait until it is in sync; the source goes on taking writes."""

    target: Instance
    source: Instance


@dataclass(frozen=True, slots=True)
class Reparent:
    """Hang the other slaves under the target, which still passes on the source's history."""

    slaves: tuple[Instance, ...]
    target: Instance
    source: Instance


@dataclass(frozen=True, slots=True)
class Probe:
    """Wait until the target is close behind the source, and prove that the stream flows to it."""

    target: Instance
    source: Instance


@dataclass(frozen=True, slots=True)
class Pause:
    """Hold writes back at the source for a bounded time: a courtesy to clients, which wait instead of failing."""

    source: Instance


@dataclass(frozen=True, slots=True)
class Drain:
    """Wait until the target has applied everything that the source held when it was last asked."""

    target: Instance
    source: Instance


@dataclass(frozen=True, slots=True)
class Fence:
    """Put the role fence on the source: it refuses writes from here on, for good."""

    source: Instance


@dataclass(frozen=True, slots=True)
class Promote:
    """Make the target the master, and check that its history continues the source's."""

    target: Instance
    source: Instance


@dataclass(frozen=True, slots=True)
class HandOver:
    """Make the source a slave of the target. From here on, only forward."""

    source: Instance
    target: Instance


@dataclass(frozen=True, slots=True)
class Follow:
    """Make every slave follow the master, and wait a short time for their links."""

    slaves: tuple[Instance, ...]
    master: Instance


@dataclass(frozen=True, slots=True)
class Tidy:
    """Take back another tool's leftover fence: a min-replicas-to-write of 1000000 or more."""

    instances: tuple[Instance, ...]


Step = Park | Lift | Replan | Prepare | Reparent | Probe | Pause | Drain | Fence | Promote | HandOver | Follow | Tidy


def told(step: Step) -> str:  # noqa: C901, PLR0911, PLR0912 - one line for each kind of step
    """The step in one line, for the log and the dry run."""
    match step:
        case Park(instance):
            return f"park {instance}"
        case Lift(instance):
            return f"lift {instance}"
        case Replan():
            return "observe again and plan anew"
        case Prepare(target, source):
            return f"prepare {target} as a slave of {source}"
        case Reparent(slaves, target):
            return f"reparent {_names(slaves)} under {target}"
        case Probe(target, source):
            return f"probe the stream from {source} to {target}"
        case Pause(source):
            return f"pause writes at {source}"
        case Drain(target, source):
            return f"drain {source} into {target}"
        case Fence(source):
            return f"fence {source}"
        case Promote(target):
            return f"promote {target}"
        case HandOver(source, target):
            return f"hand over {source} to {target}"
        case Follow(slaves, master):
            return f"follow {master} with {_names(slaves)}"
        case Tidy(instances):
            return f"tidy {_names(instances)}"


def _names(instances: tuple[Instance, ...]) -> str:
    return ", ".join(str(instance) for instance in instances)
