"""Refuses instances with which no switch can keep its promise, forced or not. Pure: no I/O, no clock."""

from dictator.lineage import KEY
from dictator.observation import FENCE, HALT, Observation
from dictator.source import WAYS_OUT
from dictator.state import ClusterState, covers
from safe_redis.errors import Refused, Unavailable

MIN_REDIS = (6, 2)
MIN_VALKEY = (7, 2)


def check(seen: Observation) -> None:
    """Refuses an instance with which the switch can't keep its promise."""
    instance = seen.instance
    oldest = MIN_VALKEY if seen.valkey else MIN_REDIS
    if seen.version < oldest:
        kind = "Valkey" if seen.valkey else "Redis"
        raise Refused(
            f"{instance} runs {kind} {_dotted(seen.version)}; "
            f"the oldest that can be switched safely is {_dotted(oldest)}"
        )
    if seen.cluster:
        raise Refused(f"{instance} runs in cluster mode (cluster_enabled:1), which chooses its masters itself")
    if not seen.read_only:
        raise Refused(
            f"{instance} takes writes as a slave (replica-read-only no): nothing could stop them. Set it to yes first"
        )
    if seen.sentinels:
        raise Refused(
            f"{seen.sentinels} Sentinel(s) watch {instance} (__sentinel__:hello) and would undo the switch. "
            "Stop them first"
        )
    if seen.replication.failover:
        raise Unavailable(
            f"{instance} is in a FAILOVER of its own (master_failover_state); wait until it ends, or FAILOVER ABORT"
        )
    if seen.loading:
        raise Unavailable(f"{instance} is loading its data (loading:1)")
    if seen.unreadable:
        raise Refused(
            f"{instance} has no lineage record at the key {KEY}, but {seen.unreadable}. Give the dictator the right to "
            "read and write this key, or delete what does not belong there"
        )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def check_identity(state: ClusterState) -> None:
    """Refuses two names or addresses that lead to one and the same instance (run_id of INFO server)."""
    by_run_id: dict[str, Observation] = {}
    for seen in state.listed:
        twin = by_run_id.setdefault(seen.run_id, seen)
        if twin is not seen:
            raise Refused(f"{twin.instance} and {seen.instance} are one and the same instance (run_id {seen.run_id})")


def check_strangers(state: ClusterState, source: Observation, *, force: bool) -> tuple[str, ...]:
    """Refuses listed instances that seem to be another cluster's; returns, in words, what force makes of them.

    A stale address is the usual cause: what answers there has data without our record, or masters or slaves of its own.
    """
    recorded = bool(state.records)
    found = [
        f"{seen} {why}"
        for seen in state.listed
        if seen is not source and seen.record is None
        for why in [_strange(state, source, seen, recorded=recorded)]
        if why
    ]
    if found and not force:
        raise Refused(f"{'; '.join(found)}. It may be another cluster's, at an address that is stale. {WAYS_OUT}")
    return tuple(found)


def _strange(state: ClusterState, source: Observation, seen: Observation, *, recorded: bool) -> str:
    rep = seen.replication
    own = sum(other.replication.follows(seen.instance) for other in state.everyone)
    if rep.master and seen.connected_slaves > own:
        return f"has {seen.connected_slaves - own} slave(s) that the topology does not list"
    if not recorded or (not seen.empty and covers(source, seen)):
        return ""
    ours = {other.instance.address for other in (*state.listed, source)} | {FENCE, HALT}
    ours |= {
        (member.host, member.port) for record in state.records for member in (record.master, record.source) if member
    }
    if rep.link_up and rep.following not in ours:
        return f"follows {'{}:{}'.format(*rep.following or ('?', 0))}, which is no instance of this cluster"
    copy_of_ours = not seen.holder and rep.following in ours
    return "" if seen.empty or copy_of_ours else "holds data without the lineage record of this cluster"
