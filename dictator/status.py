"""What GET /master shows: the topology that was applied last, and what its instances say of themselves now."""

from dictator.instance import Instance
from dictator.link import Runtime
from dictator.observation import Observation, Skipped
from dictator.observe import read_observation
from safe_redis.errors import TopologyError

State = dict[str, object]


def describe(runtime: Runtime, instances: list[Instance | Skipped]) -> list[State]:
    """One dict for each instance, the master (the first) first; JSON names as in docs/algorithm.md."""
    # the master last, or a slave of one that takes writes would seem to be ahead of it
    slaves = list(runtime.map_parallel(lambda instance: _describe(runtime, instance), instances[1:]))
    master = _describe(runtime, instances[0])
    return [master, *(_with_lag(slave, master) for slave in slaves)]


def _describe(runtime: Runtime, instance: Instance | Skipped) -> State:
    if isinstance(instance, Skipped):
        return {"instance": instance.name, "error": instance.reason}
    try:
        return _fields(read_observation(runtime.link(instance), instance))
    except TopologyError as error:
        return {"instance": str(instance), "error": str(error)}


def _fields(observed: Observation) -> State:
    rep, record = observed.replication, observed.record
    return {
        "instance": str(observed.instance),
        "role": "master" if rep.master else "slave",
        "parked": rep.parked,
        "following": None if rep.following is None else "{}:{}".format(*rep.following),
        "link": "up" if rep.link_up else "syncing" if rep.syncing else None if rep.master else "down",
        "offset": rep.history.offset,
        "replid": rep.history.replid,
        "keys": observed.keys,
        "loading": observed.loading,
        "run_id": observed.run_id,
        "version": f"{'valkey' if observed.valkey else 'redis'} {'.'.join(map(str, observed.version))}",
        "min_replicas_to_write": observed.min_replicas,
        "cluster": record.cluster if record else None,
        "epoch": record.epoch if record else None,
        "record": str(record) if record else None,
    }


def _with_lag(slave: State, master: State) -> State:
    """A slave's state with the bytes that it is behind the master; None where their histories can't be compared."""
    match slave, master:
        case {"replid": mine, "offset": int(have)}, {"replid": its, "offset": int(offset)} if mine == its:
            return {**slave, "lag": offset - have}
    return {**slave, "lag": None}
