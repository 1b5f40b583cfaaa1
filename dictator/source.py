"""Finds the source: the instance whose data must survive. Pure: no I/O, no clock.

The record of the highest epoch decides (docs/algorithm.md has the table); dictator/unrecorded.py decides where there is
none yet. Where no source can be proven it is refused, unless the caller forces a choice.
"""

from dataclasses import dataclass
from typing import NoReturn

from dictator.lineage import Member, Record
from dictator.observation import FENCE, HALT, Observation
from dictator.state import ClusterState, covers, most_advanced
from safe_redis.errors import LostHolder, Refused, TopologyError

WAYS_OUT = (
    "Repeat with force=1 (apply-topology.sh --force) to discard the rest, "
    "or take the instance out of the topology and keep its data aside"
)


@dataclass(frozen=True, slots=True)
class Source:
    """The instance whose data must survive; what force gives up for it, in words, where the choice was forced."""

    observation: Observation
    discarded: tuple[str, ...] = ()
    forced: bool = False


def recorded(state: ClusterState, *, force: bool) -> Source:
    """The source by the records, of which there is at least one; Refused or LostHolder where none can be proven."""
    try:
        _check_ids(state)
        source = _by_epoch(state)
        _check_masters(state, source)
    except TopologyError as refusal:
        if not force:
            raise
        return _forced(state, refusal)
    return Source(source)


def _check_ids(state: ClusterState) -> None:
    """Refuses records of one name but different ids: two clusters that are called the same, or one that began anew."""
    newest = state.records[0]
    for record in state.records:
        if record.id != newest.id:
            raise Refused(
                f"two lineages are called {newest.cluster!r}: {newest.id} ({newest}; held by "
                f"{_holders(state, newest.id)}) and {record.id} ({record}; held by {_holders(state, record.id)}). "
                f"{WAYS_OUT}"
            )


def _holders(state: ClusterState, lineage_id: str) -> str:
    return ", ".join(
        str(observed.instance) for observed in state.everyone if observed.record and observed.record.id == lineage_id
    )


def _by_epoch(state: ClusterState) -> Observation:
    """The source by the record of the highest epoch. An epoch that has begun stands above the intent to begin it."""
    epoch = state.records[0].epoch
    records = [record for record in state.records if record.epoch == epoch]
    served = [record for record in records if record.served]
    deciding = served or records
    if len({(record.source, record.master) for record in deciding}) > 1:
        raise Refused(
            f"the records contradict each other: {'; '.join(map(str, deciding))}; {_list(state.everyone)}. {WAYS_OUT}"
        )
    record = deciding[0]
    return _heir(state, record) or (_of_served if served else _of_intended)(state, record)


def _heir(state: ClusterState, record: Record) -> Observation | None:
    """The only master, where those that the record names are slaves now, and it provably has all that they hold.

    A FLUSHALL may have taken its own record, and theirs.
    """
    named = [state.locate(member) for member in (record.master, record.source) if member]
    masters = [observed for observed in state.everyone if observed.replication.master]
    if len(masters) != 1 or not _includes_all(state, record, masters[0]):
        return None
    copied = all(observed and _is_copy(observed) and covers(masters[0], observed) for observed in named)
    return masters[0] if copied else None


def _of_served(state: ClusterState, record: Record) -> Observation:
    master = state.locate(record.master)
    if master is None:
        _lost(state, record, record.master)
    if not _kept(state, record, master):
        _lost_its_record(state, record, master)
    if _is_copy(master):
        return _without_its_master(state, record)
    return master


def _of_intended(state: ClusterState, record: Record) -> Observation:
    """The target where it was promoted, the source where it can't have been; else nobody knows, and it is refused."""
    old, new = state.locate(record.source), state.locate(record.master)
    if new and _was_promoted(state, record, new):
        return new
    # nobody is promoted before the source's fence is on its disk
    if old and old.replication.master and _kept(state, record, old):
        return old
    if new is None:
        _lost(state, record, record.master)
    if new.epoch != record.epoch:
        _lost_its_record(state, record, new)
    # the target is still a slave, or parked, and has the record: it was not promoted
    if old is None:
        _lost(state, record, record.source)
    if _is_copy(old):
        return _without_its_master(state, record)
    if not _kept(state, record, old):
        _lost_its_record(state, record, old)
    return old


def _was_promoted(state: ClusterState, record: Record, target: Observation) -> bool:
    if target.replication.master:
        return _kept(state, record, target)
    return target.replication.parked and _includes_all(state, record, target)


def _kept(state: ClusterState, record: Record, observed: Observation) -> bool:
    """Whether it has the record of the epoch, or lost it in a way that its history still proves (a FLUSHALL)."""
    if observed.epoch == record.epoch:
        return True
    return not _is_copy(observed) and _includes_all(state, record, observed)


def _includes_all(state: ClusterState, record: Record, observed: Observation) -> bool:
    holders = [other for other in state.everyone if other.epoch == record.epoch and other is not observed]
    return all(covers(observed, other) for other in holders)


def _is_copy(observed: Observation) -> bool:
    return not observed.replication.master and not observed.replication.parked


def _without_its_master(state: ClusterState, record: Record) -> Observation:
    """Somebody made the epoch's master a slave: the one master that there is, or in a cycle the most advanced copy."""
    masters = [observed for observed in state.everyone if observed.replication.master]
    if len(masters) == 1 and masters[0].epoch == record.epoch:
        return masters[0]
    if masters:
        raise Refused(
            f"{record}, but that is a slave by now, and not of a master with this record: {_list(state.everyone)}. "
            f"{WAYS_OUT}"
        )
    known = {observed.instance.address for observed in state.everyone} | {FENCE, HALT}
    strangers = sorted(
        "{}:{}".format(*observed.replication.following)
        for observed in state.everyone
        if observed.replication.following and observed.replication.following not in known
    )
    missing = [*map(str, state.left_out), *strangers]
    copies = tuple(observed for observed in state.everyone if observed.epoch == record.epoch)
    best = most_advanced(copies, state.master)
    if missing:
        raise LostHolder(
            f"{record}, but that is a slave by now, and no master was reached; {', '.join(missing)} may be it. "
            f"The most advanced copy is {best}. {WAYS_OUT}"
        )
    return best


def _lost(state: ClusterState, record: Record, member: Member | None) -> NoReturn:
    copies = tuple(observed for observed in state.listed if observed.epoch == record.epoch) or state.listed
    raise LostHolder(
        f"{record}, but {member} can't be reached{_why(state, member)}; it may hold newer writes and come back. "
        f"The most advanced copy is {most_advanced(copies, state.master)}. {WAYS_OUT}"
    )


def _why(state: ClusterState, member: Member | None) -> str:
    reasons = [skipped.reason for skipped in state.left_out if member and skipped.name in (member.name, str(member))]
    return f" ({reasons[0]})" if reasons else ""


def _lost_its_record(state: ClusterState, record: Record, observed: Observation) -> NoReturn:
    holders = tuple(other for other in state.everyone if other.epoch == record.epoch)
    raise Refused(
        f"{record}, but {observed} does not hold that record, and its history does not include that of those which do: "
        f"{_list(holders)}. It has lost its disk, or came back with an older one. {WAYS_OUT}"
    )


def _check_masters(state: ClusterState, source: Observation) -> None:
    """Refuses a second master that was made of the same data: both may have taken writes."""
    for observed in state.everyone:
        ours = observed.record is not None and observed.replication.master
        if ours and observed is not source and not covers(source, observed):
            raise Refused(
                f"two masters hold data of this cluster, and neither's is part of the other's: {source}; {observed}. "
                f"{WAYS_OUT}"
            )


def _forced(state: ClusterState, refusal: TopologyError) -> Source:
    """The highest epoch, then the most advanced; of two lineages that of the wanted master."""
    own = state.master.record.id if state.master.record else state.records[0].id
    candidates = tuple(observed for observed in state.everyone if observed.record and observed.record.id == own)
    chosen = most_advanced(candidates, state.master)
    reason = str(refusal).removesuffix(f". {WAYS_OUT}")
    others = tuple(observed for observed in state.everyone if observed.holder or observed.epoch >= chosen.epoch)
    lost = (str(observed) for observed in others if observed is not chosen and not covers(chosen, observed))
    return Source(chosen, (f"whatever this refusal protects: {reason}", *lost), forced=True)


def _list(instances: tuple[Observation, ...]) -> str:
    return "; ".join(map(str, instances))
