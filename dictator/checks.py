"""Refuses instances with which no switch can keep its promise, forced or not. Pure: no I/O, no clock."""

from dictator.lineage import KEY
from dictator.observation import FENCE, HALT, Observation
from dictator.source import WAYS_OUT
from dictator.state import ClusterState, covers
from safe_redis.errors import Refused, Unavailable

MIN_REDIS = (6, 2)
MIN_VALKEY = (7, 2)


def check(observed: Observation) -> None:
    """Refuses an instance with which the switch can't keep its promise."""
    _check_kind(observed)
    instance = observed.instance
    if observed.replication.failover:
        raise Unavailable(
            f"{instance} is in a FAILOVER of its own (master_failover_state); wait until it ends, or FAILOVER ABORT"
        )
    if observed.loading:
        raise Unavailable(f"{instance} is loading its data (loading:1)")
    if observed.unreadable:
        raise Refused(
            f"{instance} has no lineage record at the key {KEY}, but {observed.unreadable}. Give the dictator the "
            "right to read and write this key, or delete what does not belong there"
        )


def _check_kind(observed: Observation) -> None:
    instance = observed.instance
    oldest = MIN_VALKEY if observed.valkey else MIN_REDIS
    if observed.version < oldest:
        kind = "Valkey" if observed.valkey else "Redis"
        raise Refused(
            f"{instance} runs {kind} {_dotted(observed.version)}; "
            f"the oldest that can be switched safely is {_dotted(oldest)}"
        )
    if observed.cluster:
        raise Refused(f"{instance} runs in cluster mode (cluster_enabled:1), which chooses its masters itself")
    if not observed.read_only:
        raise Refused(
            f"{instance} takes writes as a slave (replica-read-only no): nothing could stop them. Set it to yes first"
        )
    if observed.sentinels:
        raise Refused(
            f"{observed.sentinels} Sentinel(s) watch {instance} (__sentinel__:hello) and would undo the switch. "
            "Stop them first"
        )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def check_identity(state: ClusterState) -> None:
    """Refuses two names or addresses that lead to one and the same instance (run_id of INFO server)."""
    by_run_id: dict[str, Observation] = {}
    for observed in state.listed:
        twin = by_run_id.setdefault(observed.run_id, observed)
        if twin is not observed:
            raise Refused(
                f"{twin.instance} and {observed.instance} are one and the same instance (run_id {observed.run_id})"
            )


def check_strangers(state: ClusterState, source: Observation, *, force: bool) -> tuple[str, ...]:
    """Refuses listed instances that seem to be another cluster's; returns, in words, what force makes of them.

    A stale address is the usual cause: what answers there has data without our record, or masters or slaves of its own.
    """
    recorded = bool(state.records)
    strangers = [
        f"{observed} {why}"
        for observed in state.listed
        if observed is not source and observed.record is None
        for why in [_strange(state, source, observed, recorded=recorded)]
        if why
    ]
    if strangers and not force:
        raise Refused(f"{'; '.join(strangers)}. It may be another cluster's, at an address that is stale. {WAYS_OUT}")
    return tuple(strangers)


def _strange(state: ClusterState, source: Observation, observed: Observation, *, recorded: bool) -> str:
    rep = observed.replication
    own = sum(other.replication.follows(observed.instance) for other in state.everyone)
    if rep.master and observed.connected_slaves > own:
        return f"has {observed.connected_slaves - own} slave(s) that the topology does not list"
    if not recorded or (not observed.empty and covers(source, observed)):
        return ""
    ours = {other.instance.address for other in (*state.listed, source)} | {FENCE, HALT}
    ours |= {
        (member.host, member.port) for record in state.records for member in (record.master, record.source) if member
    }
    if rep.link_up and rep.following not in ours:
        return f"follows {'{}:{}'.format(*rep.following or ('?', 0))}, which is no instance of this cluster"
    copy_of_ours = not observed.holder and rep.following in ours
    return "" if observed.empty or copy_of_ours else "holds data without the lineage record of this cluster"
