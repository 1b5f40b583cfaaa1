"""All that a run has observed: listed instances, those outside that matter, what is missing. Pure: no I/O, no clock."""

from dataclasses import dataclass, replace

from dictator.history import includes
from dictator.lineage import Member, Record
from dictator.observation import Observation, Skipped
from safe_redis.errors import Unavailable


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The wanted master, the other listed instances that were reached, those outside, and what is missing."""

    master: Observation
    slaves: tuple[Observation, ...]
    outside: tuple[Observation, ...] = ()
    left_out: tuple[Skipped, ...] = ()

    @property
    def listed(self) -> tuple[Observation, ...]:
        """The listed instances that were reached, the wanted master first."""
        return (self.master, *self.slaves)

    @property
    def everyone(self) -> tuple[Observation, ...]:
        """All that were reached, listed or not."""
        return (*self.listed, *self.outside)

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of all that were reached, without repetitions, the highest epoch first."""
        found = dict.fromkeys(seen.record for seen in self.everyone if seen.record)
        return tuple(sorted(found, key=lambda record: -record.epoch))

    def locate(self, member: Member | None) -> Observation | None:
        """The instance that a record names: by its name, or else by the address that it had."""
        if member is None:
            return None
        named = [seen for seen in self.everyone if seen.instance.name == member.name]
        there = [seen for seen in self.everyone if seen.instance.address == (member.host, member.port)]
        return next(iter((*named, *there)), None)


def without_foreign(state: ClusterState, cluster: str) -> ClusterState:
    """The state without instances whose record is another cluster's: they are left alone, forced or not.

    A stale DNS record leads to such an instance. Unavailable where the wanted master is one.
    """
    foreign = {seen.instance: seen.record for seen in state.everyone if seen.record and seen.record.cluster != cluster}
    if state.master.instance in foreign:
        raise Unavailable(f"the wanted master {_reason(state.master, cluster)}; its address may be stale")
    left_out = tuple(
        Skipped(str(seen.instance), _reason(seen, cluster).removeprefix(f"{seen.instance} "))
        for seen in state.slaves
        if seen.instance in foreign
    )
    return replace(
        state,
        slaves=tuple(seen for seen in state.slaves if seen.instance not in foreign),
        outside=tuple(seen for seen in state.outside if seen.instance not in foreign),
        left_out=(*state.left_out, *left_out),
    )


def _reason(seen: Observation, cluster: str) -> str:
    other = seen.record.cluster if seen.record else ""
    return f"{seen.instance} belongs to the cluster {other!r}, not to {cluster!r} ({seen.record})"


def covers(later: Observation, earlier: Observation) -> bool:
    """The ancestor rule: whether `earlier` holds nothing that `later` does not provably hold as well."""
    return earlier.empty or includes(later.replication.history, earlier.replication.history)


def most_advanced(copies: tuple[Observation, ...], wanted: Observation) -> Observation:
    """The copy that no other is ahead of: by epoch, then by history; a parked one comes last.

    Among equals the wanted master is taken, else the one with most keys.
    """

    def rank(seen: Observation) -> tuple[int, bool, int, bool, int, int]:
        covered = sum(covers(seen, other) for other in copies)
        parked = seen.replication.parked
        return seen.epoch, not parked, covered, seen is wanted, seen.keys, seen.replication.history.offset

    return max(copies, key=rank)
