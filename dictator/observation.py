"""What an instance says of itself, as frozen values that dictator/info.py makes. Pure: no I/O, no clock."""

from dataclasses import dataclass

from dictator.history import History
from dictator.instance import Instance
from dictator.lineage import Record

# Nobody can listen on port 0: a slave of this address is a slave of nothing, and refuses every write.
FENCE = ("127.0.0.1", 0)
# Nobody can listen there either. A slave told so stops where it is, and is still a slave: a copy, and no holder.
HALT = ("0.0.0.0", 0)
NO_REPLID = "0" * 40


@dataclass(frozen=True, slots=True)
class Replication:
    """The section `replication`: who it follows, and how far it has come."""

    master: bool
    history: History
    following: tuple[str, int] | None = None
    link_up: bool = False
    syncing: bool = False
    failover: bool = False

    @property
    def parked(self) -> bool:
        """Whether it stands on the role fence, so that it is a slave of nothing."""
        return self.following == FENCE

    def follows(self, instance: Instance) -> bool:
        """Whether it is a slave of `instance`, at the address under which the document's name was found."""
        return self.following == instance.address

    def linked_to(self, instance: Instance, replid: str) -> bool:
        """Whether it is a slave of `instance`, with its link up and the history `replid`, that of its master."""
        return self.follows(instance) and self.link_up and self.history.replid == replid


@dataclass(frozen=True, slots=True)
class Observation:
    """One instance as it was observed, at one time. `keys` counts all databases, without the lineage record.

    `record` is what the key of the lineage holds; `unreadable` is what it holds, or is answered, instead.
    """

    instance: Instance
    run_id: str
    version: tuple[int, ...]
    valkey: bool
    replication: Replication
    keys: int
    loading: bool = False
    cluster: bool = False
    sentinels: int = 0
    min_replicas: int = 0
    read_only: bool = True
    connected_slaves: int = 0
    record: Record | None = None
    unreadable: str = ""

    @property
    def empty(self) -> bool:
        """Whether it holds nothing: no key, and no record of a history either (its keys may have been consumed)."""
        return self.keys == 0 and self.record is None

    @property
    def epoch(self) -> int:
        """The epoch of its record; 0 without one."""
        return self.record.epoch if self.record else 0

    @property
    def holder(self) -> bool:
        """Whether what it holds is no copy of a master's: it is a master, or a parked one."""
        return not self.empty and (self.replication.master or self.replication.parked)

    def __str__(self) -> str:
        rep = self.replication
        role = "master" if rep.master else "parked" if rep.parked else "slave"
        held = f", {self.record}" if self.record else ""
        return (
            f"{self.instance}: {role}, {self.keys} keys, offset {rep.history.offset} of {rep.history.replid[:8]}{held}"
        )


@dataclass(frozen=True, slots=True)
class Skipped:
    """An instance of the document that can't be dealt with now: not resolved, not reached, or loading its data."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"
