"""All that a run has observed: listed instances, those outside that matter, what is missing. Pure: no I/O, no clock."""

from dataclasses import dataclass, replace

from dictator.history import includes
from dictator.instance import Instance
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
        distinct = dict.fromkeys(observed.record for observed in self.everyone if observed.record)
        return tuple(sorted(distinct, key=lambda record: -record.epoch))

    def locate(self, member: Member | None) -> Observation | None:
        """The instance that a record names: by its name, or else by the address that it had."""
        if member is None:
            return None
        named = [observed for observed in self.everyone if observed.instance.name == member.name]
        there = [observed for observed in self.everyone if observed.instance.address == (member.host, member.port)]
        return next(iter((*named, *there)), None)


def without_foreign(state: ClusterState, cluster: str) -> ClusterState:
    """The state without instances whose record is another cluster's: they are left alone, forced or not.

    A stale DNS record leads to such an instance. Unavailable where the wanted master is one.
    """
    others = foreign(state, cluster)
    if state.master.instance in others:
        raise Unavailable(f"the wanted master {_reason(state.master, cluster)}; its address may be stale")
    left_out = tuple(
        Skipped(str(observed.instance), _reason(observed, cluster).removeprefix(f"{observed.instance} "))
        for observed in state.slaves
        if observed.instance in others
    )
    return replace(
        state,
        slaves=tuple(observed for observed in state.slaves if observed.instance not in others),
        outside=tuple(observed for observed in state.outside if observed.instance not in others),
        left_out=(*state.left_out, *left_out),
    )


def foreign(state: ClusterState, cluster: str) -> tuple[Instance, ...]:
    """The instances whose record is another cluster's."""
    return tuple(
        observed.instance for observed in state.everyone if observed.record and observed.record.cluster != cluster
    )


def _reason(observed: Observation, cluster: str) -> str:
    other = observed.record.cluster if observed.record else ""
    return f"{observed.instance} belongs to the cluster {other!r}, not to {cluster!r} ({observed.record})"


def covers(later: Observation, earlier: Observation) -> bool:
    """The ancestor rule: whether `earlier` holds nothing that `later` does not provably hold as well."""
    return earlier.empty or includes(later.replication.history, earlier.replication.history)


def most_advanced(copies: tuple[Observation, ...], wanted: Observation) -> Observation:
    """The one that no other is ahead of: by epoch, then by history; a parked one comes last.

    A master may have taken writes that no copy has. Among equals the wanted master is taken, else the one with most
    keys.
    """

    def rank(observed: Observation) -> tuple[int, bool, bool, int, bool, int, int]:
        covered = sum(covers(observed, other) for other in copies)
        parked = observed.replication.parked
        return (
            observed.epoch,
            observed.replication.master,
            not parked,
            covered,
            observed is wanted,
            observed.keys,
            observed.replication.history.offset,
        )

    return max(copies, key=rank)
