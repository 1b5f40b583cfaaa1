"""Finds the source where there is no record: a first bring-up, or an adoption. Pure: no I/O, no clock.

Only holders count: masters, and masters that a switch has parked. A slave is a copy, which redis itself overwrites
whenever it reconnects.
"""

from dictator.observation import FENCE, HALT, Observation
from dictator.source import WAYS_OUT, Source
from dictator.state import ClusterState, covers, most_advanced
from safe_redis.errors import LostHolder, Refused


def unrecorded(state: ClusterState, *, force: bool) -> Source:
    """The source, or Refused (several histories), or LostHolder (it may be the one that can't be reached)."""
    holders = tuple(observed for observed in state.everyone if observed.holder)
    if holders:
        source = _maximal(holders, state, force=force)
    elif all(observed.empty for observed in state.listed):
        source = _all_empty(state, force=force)
    else:
        source = _without_holder(state, force=force)
    strangers = _other_masters_copies(state, source.observation)
    if strangers and not force:
        raise Refused(
            f"{'; '.join(strangers)}: the data of a master outside the topology, and no part of what "
            f"{source.observation.instance} holds. {WAYS_OUT}"
        )
    return Source(source.observation, (*source.discarded, *strangers), source.forced)


def _maximal(holders: tuple[Observation, ...], state: ClusterState, *, force: bool) -> Source:
    maxima = [observed for observed in holders if all(covers(observed, other) for other in holders)]
    # two that cover each other hold the same; a writable one needs no lifting, and the wanted one no switch
    maxima.sort(key=lambda observed: (observed.replication.parked, observed is not state.master))
    if not maxima:
        described = "; ".join(str(observed) for observed in holders)
        if not force:
            raise Refused(
                f"{len(holders)} instances hold data of histories that don't include each other: {described}. "
                f"{WAYS_OUT}"
            )
        chosen = _preferred(holders, state)
        return Source(chosen, tuple(str(observed) for observed in holders if not covers(chosen, observed)), forced=True)
    source = maxima[0]
    if source.replication.parked and state.left_out:
        missing = ", ".join(str(skipped) for skipped in state.left_out)
        if not force:
            raise LostHolder(
                f"{source.instance} was fenced by a switch that did not end, which may have promoted {missing}. "
                f"Wait until it is back. {WAYS_OUT}"
            )
        unknown = tuple(f"{skipped}: unknown writes, if it was promoted" for skipped in state.left_out)
        return Source(source, unknown, forced=True)
    return Source(source)


def _preferred(holders: tuple[Observation, ...], state: ClusterState) -> Observation:
    """What force keeps: the wanted master's history; else the holder with most keys, a parked one last."""
    wanted = state.master
    related = [observed for observed in holders if not wanted.empty and covers(observed, wanted)]
    if related:
        return max(related, key=lambda observed: (observed is wanted, observed.replication.history.offset))
    return max(
        holders,
        key=lambda observed: (not observed.replication.parked, observed.keys, observed.replication.history.offset),
    )


def _all_empty(state: ClusterState, *, force: bool) -> Source:
    """First bring-up: the wanted master; or the one that it follows, which may be about to take a first write."""
    if state.left_out:
        missing = ", ".join(str(skipped) for skipped in state.left_out)
        if not force:
            raise LostHolder(
                f"all instances that were reached are empty, without a lineage record, and {missing} may hold data. "
                f"{WAYS_OUT}"
            )
        return Source(state.master, (f"whatever {missing} may hold",), forced=True)
    rep = state.master.replication
    for observed in state.everyone:
        if rep.follows(observed.instance) and observed.replication.master:
            return Source(observed)
    return Source(state.master)


def _without_holder(state: ClusterState, *, force: bool) -> Source:
    copies = tuple(observed for observed in state.listed if not observed.empty)
    best = most_advanced(copies, state.master)
    if force:
        beyond = f"whatever the master of {best.instance} held beyond offset {best.replication.history.offset}"
        unrelated = tuple(str(observed) for observed in copies if not covers(best, observed))
        return Source(best, (beyond, *unrelated), forced=True)
    came_back_empty = any(observed.replication.master for observed in state.everyone)
    if state.left_out or not came_back_empty:
        missing = ", ".join(str(skipped) for skipped in state.left_out) or _masters(copies)
        raise LostHolder(
            f"no master holds data; {missing} may hold it and come back. The most advanced copy is {best}. {WAYS_OUT}"
        )
    raise Refused(f"no master holds data, but copies do; the most advanced is {best}. {WAYS_OUT}")


def _masters(copies: tuple[Observation, ...]) -> str:
    addresses = {f"{host}:{port}" for host, port in (observed.replication.following or ("?", 0) for observed in copies)}
    return f"their master at {', '.join(sorted(addresses))}"


def _other_masters_copies(state: ClusterState, source: Observation) -> tuple[str, ...]:
    """Listed copies that are not the source's: of an unlisted master that is alive, or of one that the source isn't.

    A master that was restarted has a new history, so that its own copies prove nothing: an address decides.
    """
    ours = {observed.instance.address for observed in state.listed} | {source.instance.address, FENCE, HALT}
    outside_is_source = source in state.outside
    return tuple(
        str(observed)
        for observed in state.listed
        if not observed.empty and observed is not source and not observed.holder and not covers(source, observed)
        if outside_is_source or (observed.replication.link_up and observed.replication.following not in ours)
    )
