"""Finds the source: the instance whose data must survive. Pure: no I/O, no clock.

Only holders count: masters, and masters that a switch has parked. A slave is a copy, which redis itself overwrites
whenever it reconnects. Where no source can be proven, it is refused, unless the caller forces a choice.
"""

from dataclasses import dataclass

from dictator.history import includes
from dictator.observation import Observation, Skipped
from safe_redis.errors import LostHolder, Refused

WAYS_OUT = (
    "Repeat with force=1 (apply-topology.sh --force) to discard the rest, "
    "or take the instance out of the topology and keep its data aside"
)


@dataclass(frozen=True, slots=True)
class ClusterState:
    """All that was observed: the listed instances, unlisted masters that they follow, and what is missing."""

    master: Observation
    slaves: tuple[Observation, ...]
    outside: tuple[Observation, ...] = ()
    left_out: tuple[Skipped, ...] = ()

    @property
    def listed(self) -> tuple[Observation, ...]:
        """The listed instances that were reached, the wanted master first."""
        return (self.master, *self.slaves)


@dataclass(frozen=True, slots=True)
class Source:
    """The instance whose data must survive, and what force gives up for it, in words."""

    observation: Observation
    discarded: tuple[str, ...] = ()


def find(seen: ClusterState, *, force: bool) -> Source:
    """The source, or Refused (several histories), or LostHolder (it may be the one that can't be reached)."""
    holders = _holders(seen)
    if holders:
        return _maximal(holders, seen, force=force)
    if all(each.empty for each in seen.listed):
        return _all_empty(seen, force=force)
    return _without_holder(seen, force=force)


def _holders(seen: ClusterState) -> tuple[Observation, ...]:
    inside = tuple(each for each in seen.listed if each.holder)
    if not inside:
        return tuple(each for each in seen.outside if each.holder)
    # a parked one may have been handed over to a master that this document no longer lists
    return inside + tuple(
        each
        for each in seen.outside
        if each.holder and any(old.replication.parked and _covers(each, old) for old in inside)
    )


def _covers(later: Observation, earlier: Observation) -> bool:
    return earlier.empty or includes(later.replication.history, earlier.replication.history)


def _maximal(holders: tuple[Observation, ...], seen: ClusterState, *, force: bool) -> Source:
    maxima = [each for each in holders if all(_covers(each, other) for other in holders)]
    # two that cover each other hold the same; a writable one needs no lifting, and the wanted one no switch
    maxima.sort(key=lambda each: (each.replication.parked, each is not seen.master))
    if not maxima:
        told = "; ".join(str(each) for each in holders)
        if not force:
            raise Refused(
                f"{len(holders)} instances hold data of histories that don't include each other: {told}. {WAYS_OUT}"
            )
        chosen = _preferred(holders, seen)
        lost = tuple(str(each) for each in holders if not _covers(chosen, each))
        return Source(chosen, lost)
    source = maxima[0]
    if source.replication.parked and not _target_is_known(source, seen):
        missing = ", ".join(str(each) for each in seen.left_out)
        if not force:
            raise LostHolder(
                f"{source.instance} was fenced by a switch that did not end, which may have promoted {missing}. "
                f"Wait until it is back. {WAYS_OUT}"
            )
        return Source(source, tuple(f"{each}: unknown writes, if it was promoted" for each in seen.left_out))
    return Source(source)


def _target_is_known(parked: Observation, seen: ClusterState) -> bool:
    """Whether no instance that is missing now can have been the target of the switch that parked this one.

    Before the fence, every slave that can be reached is hung under the target, and the target under the source itself.
    """
    if not seen.left_out:
        return True
    return any(each.replication.follows(parked.instance) for each in seen.listed)


def _preferred(holders: tuple[Observation, ...], seen: ClusterState) -> Observation:
    """What force keeps: the wanted master's data; where it has none, the holder with most keys."""
    wanted = seen.master
    if not wanted.empty:
        lineage = [each for each in holders if _covers(each, wanted)]
        if lineage:
            return max(lineage, key=lambda each: (each is wanted, each.replication.history.offset))
    return max(holders, key=lambda each: (each.keys, each.replication.history.offset))


def _all_empty(seen: ClusterState, *, force: bool) -> Source:
    """First bring-up: the wanted master; or the one that it follows, which may be about to take a first write."""
    rep = seen.master.replication
    if rep.master or rep.parked:
        return Source(seen.master)
    for each in (*seen.listed, *seen.outside):
        if rep.follows(each.instance):
            return Source(each if each.replication.master else seen.master)
    # its master is neither here nor elsewhere; if all that are listed are here, nothing that counts can be lost with it
    if not seen.left_out:
        return Source(seen.master)
    missing = ", ".join(str(each) for each in seen.left_out)
    if force:
        return Source(seen.master, (f"whatever {missing} may hold",))
    raise LostHolder(f"{seen.master} is empty, and {missing} may be its master and hold data. {WAYS_OUT}")


def _without_holder(seen: ClusterState, *, force: bool) -> Source:
    copies = tuple(each for each in seen.listed if not each.empty)
    best = most_advanced(copies, seen.master)
    if force:
        beyond = f"whatever the master of {best.instance} held beyond offset {best.replication.history.offset}"
        unrelated = tuple(str(each) for each in copies if not _covers(best, each))
        return Source(best, (beyond, *unrelated))
    came_back_empty = any(each.replication.master for each in (*seen.listed, *seen.outside))
    if seen.left_out or not came_back_empty:
        missing = ", ".join(str(each) for each in seen.left_out) or _masters(copies)
        raise LostHolder(
            f"no master holds data; {missing} may hold it and come back. The most advanced copy is {best}. {WAYS_OUT}"
        )
    raise Refused(f"no master holds data, but copies do; the most advanced is {best}. {WAYS_OUT}")


def _masters(copies: tuple[Observation, ...]) -> str:
    told = {f"{host}:{port}" for host, port in (each.replication.following or ("?", 0) for each in copies)}
    return f"their master at {', '.join(sorted(told))}"


def most_advanced(copies: tuple[Observation, ...], wanted: Observation) -> Observation:
    """The copy that no other is ahead of; among equals the wanted master, else the one with most keys."""

    def rank(each: Observation) -> tuple[int, bool, int, int]:
        covered = sum(_covers(each, other) for other in copies)
        return covered, each is wanted, each.keys, each.replication.history.offset

    return max(copies, key=rank)
