"""Plans the way from what was observed to the wanted topology: a list of steps, or a refusal. Pure: no I/O, no clock.

Invariant: at every instant the source is writable, or it is parked with everything, or the target is the master and has
everything. So a plan can be cut short anywhere; whoever comes next observes and plans anew, and no plan is ever
resumed.
"""

from dataclasses import dataclass

from dictator.history import includes
from dictator.observation import Instance, Observation, Skipped
from dictator.source import WAYS_OUT, ClusterState, Source, find
from dictator.steps import (
    Drain,
    Fence,
    Follow,
    HandOver,
    Lift,
    Park,
    Pause,
    Prepare,
    Probe,
    Promote,
    Reparent,
    Replan,
    Step,
    Tidy,
)
from safe_redis.errors import Refused, Unavailable

MIN_REDIS = (6, 2)
MIN_VALKEY = (7, 2)
# what other tools set to keep writes out; nobody has so many slaves
LEFTOVER = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, whose data survives (`source`), what is left out, and what force gives up, in words."""

    source: Instance
    steps: tuple[Step, ...]
    left_out: tuple[Skipped, ...] = ()
    discarded: tuple[str, ...] = ()


def plan(seen: ClusterState, *, force: bool = False) -> Plan:
    """The steps from `seen` to its wanted master. Refused, LostHolder or Unavailable where there is no safe way."""
    for each in seen.listed:
        check(each)
    check_identity(seen)
    source = find(seen, force=force)
    check(source.observation)
    if source.observation.instance == seen.master.instance:
        steps, lost = _stay(seen, source, force=force)
    else:
        steps, lost = _switch(seen, source, force=force)
    told = dict.fromkeys((*source.discarded, *lost))
    return Plan(source.observation.instance, steps, seen.left_out, tuple(told))


def check(each: Observation) -> None:
    """Refuses an instance with which the switch can't keep its promise."""
    who = each.instance
    rep = each.replication
    oldest = MIN_VALKEY if each.valkey else MIN_REDIS
    if each.version < oldest:
        kind = "Valkey" if each.valkey else "Redis"
        raise Refused(
            f"{who} runs {kind} {_dotted(each.version)}; the oldest that can be switched safely is {_dotted(oldest)}"
        )
    if each.cluster:
        raise Refused(f"{who} runs in cluster mode (cluster_enabled:1), which chooses its masters itself")
    if not each.read_only:
        raise Refused(
            f"{who} takes writes as a slave (replica-read-only no): nothing could stop them. Set it to yes first"
        )
    if each.sentinels:
        raise Refused(
            f"{each.sentinels} Sentinel(s) watch {who} (__sentinel__:hello) and would undo the switch. Stop them first"
        )
    if rep.failover:
        raise Unavailable(
            f"{who} is in a FAILOVER of its own (master_failover_state); wait until it ends, or FAILOVER ABORT"
        )
    if each.loading:
        raise Unavailable(f"{who} is loading its data (loading:1)")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def check_identity(seen: ClusterState) -> None:
    """Refuses two names or addresses that lead to one and the same instance (run_id of INFO server)."""
    found: dict[str, Observation] = {}
    for each in seen.listed:
        twin = found.setdefault(each.run_id, each)
        if twin is not each:
            raise Refused(f"{twin.instance} and {each.instance} are one and the same instance (run_id {each.run_id})")


def _stay(seen: ClusterState, source: Source, *, force: bool) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The wanted master is the source: nothing is handed over, the others follow."""
    master = seen.master
    parks, lost = _parks(seen.slaves, source, force=force)
    # a promotion changes the master's replication id, so that every link is made anew
    lift = () if master.replication.master else (Lift(master.instance),)
    wrong = tuple(each.instance for each in seen.slaves if lift or not _follows(each, master))
    follow = (Follow(wrong, master.instance),) if wrong else ()
    return (*parks, *lift, *follow, *_tidy(seen.listed)), lost


def _follows(each: Observation, master: Observation) -> bool:
    return each.replication.linked_to(master.instance, master.replication.history.replid)


def _switch(seen: ClusterState, source: Source, *, force: bool) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The source hands over to the wanted master."""
    old, new = source.observation, seen.master.instance
    others = tuple(each for each in seen.slaves if each.instance != old.instance)
    parks, lost = _parks((seen.master, *others), source, force=force)
    if not old.replication.master:
        # a parked one serves no new slaves, and a copy is no source: make it a master first, then look again
        return (Lift(old.instance), Replan()), lost
    slaves = tuple(each.instance for each in others)
    # a source outside the list has no place in it, but as a slave of the new master it can't be written to by mistake
    followers = (old.instance, *slaves)
    return (
        *parks,
        Prepare(new, old.instance),
        *((Reparent(slaves, new, old.instance),) if slaves else ()),
        Probe(new, old.instance),
        Pause(old.instance),
        Drain(new, old.instance),
        Fence(old.instance),
        Drain(new, old.instance),
        Promote(new, old.instance),
        HandOver(old.instance, new),
        Follow(followers, new),
        *_tidy((*seen.listed, *((old,) if old in seen.outside else ()))),
    ), lost


def _parks(others: tuple[Observation, ...], source: Source, *, force: bool) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Every master that is to become a slave is parked first: what it holds is judged when it can no longer change."""
    lost = tuple(str(each) for each in others if each.holder and not overwritable(each, source.observation))
    if lost and not force:
        raise Refused(
            f"{'; '.join(lost)}: not part of what {source.observation.instance} holds, and would be lost. {WAYS_OUT}"
        )
    who = source.observation.instance
    return tuple(Park(each.instance, who, force) for each in others if each.replication.master), lost


def overwritable(each: Observation, source: Observation) -> bool:
    """The ancestor rule: whether `each` can become a slave of `source` without losing anything."""
    return each.empty or includes(source.replication.history, each.replication.history)


def _tidy(instances: tuple[Observation, ...]) -> tuple[Step, ...]:
    fenced = tuple(each.instance for each in instances if each.min_replicas >= LEFTOVER)
    return (Tidy(fenced),) if fenced else ()
