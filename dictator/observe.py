"""Asks all instances at once what they are, and makes observations of it. Changes nothing.

An address is never taken from a master's list of slaves, which may show NATed ones; only from the document, and
from what a slave was told to follow.
"""

from dictator.link import Link, NoAnswer, Runtime, ServerError
from dictator.observation import FENCE, HALT, Instance, Observation, Skipped, keys, replication, version
from dictator.source import ClusterState

SENTINEL_CHANNEL = "__sentinel__:hello"
# how far a chain of masters outside the list is followed; a longer one is no chain that anybody runs
CHAIN = 8


def observe(
    runtime: Runtime, master: Instance, slaves: tuple[Instance, ...], left_out: tuple[Skipped, ...] = ()
) -> ClusterState:
    """What the listed instances say, and those outside that matter. NoAnswer if the wanted master is silent.

    Masters are asked again last: one that takes writes, read before its slaves, would look as if it were behind them.
    """
    reached: dict[Instance, Observation] = {}
    missing = list(left_out)
    for instance, found in zip(
        (master, *slaves), runtime.map_parallel(lambda each: _try(runtime, each), (master, *slaves)), strict=True
    ):
        if isinstance(found, Observation):
            reached[instance] = found
        elif instance == master:
            raise found
        else:
            missing.append(Skipped(str(instance), str(found).removeprefix(f"{instance} ")))
    for late in [each for each in reached.values() if each.loading and each.instance != master]:
        del reached[late.instance]
        missing.append(Skipped(str(late.instance), "is loading its data"))
    outside = _outside(runtime, tuple(reached.values()))
    seen = ClusterState(reached.pop(master), tuple(reached.values()), outside, tuple(missing))
    return _masters_again(runtime, seen)


def _try(runtime: Runtime, instance: Instance) -> Observation | NoAnswer:
    try:
        return look(runtime.link(instance), instance)
    except NoAnswer as error:
        return error


def look(link: Link, instance: Instance) -> Observation:
    """One instance, asked once (one round trip). NoAnswer if it is silent, or refuses to be asked."""
    replies = link.send(
        ("INFO", "server"),
        ("INFO", "replication"),
        ("INFO", "keyspace"),
        ("INFO", "persistence"),
        ("INFO", "cluster"),
        ("CONFIG", "GET", "min-replicas-to-write"),
        ("CONFIG", "GET", "replica-read-only"),
        ("PUBSUB", "NUMSUB", SENTINEL_CHANNEL),
    )
    for reply in replies:
        if isinstance(reply, ServerError):
            raise NoAnswer(f"{instance} doesn't let itself be asked: {reply.text}")
    server, rep, keyspace, persistence, cluster, min_replicas, read_only, sentinels = replies
    valkey, numbers = version(server)
    return Observation(
        instance,
        server["run_id"],
        numbers,
        valkey,
        replication(rep),
        keys(keyspace),
        loading=persistence.get("loading", "0") == "1",
        cluster=cluster.get("cluster_enabled", "0") == "1",
        sentinels=int(sentinels[1]),
        min_replicas=int(min_replicas[1]),
        read_only=read_only[1] == "yes",
    )


def _outside(runtime: Runtime, listed: tuple[Observation, ...]) -> tuple[Observation, ...]:
    """The unlisted masters that listed slaves follow; looked for only where the list alone may not show the holder."""
    if any(each.holder and not each.replication.parked for each in listed):
        return ()
    known = {each.instance.address for each in listed}
    found: dict[str, Observation] = {}
    wanted = {each.replication.following for each in listed}
    for _ in range(CHAIN):
        unknown = [Instance(host, host, port) for host, port in filter(None, wanted - known - {FENCE, HALT})]
        known |= {each.address for each in unknown}
        seen = [
            each
            for each in runtime.map_parallel(lambda each: _try(runtime, each), unknown)
            if isinstance(each, Observation)
        ]
        for each in seen:
            if each.run_id not in {one.run_id for one in listed}:
                found.setdefault(each.run_id, each)
        wanted = {each.replication.following for each in seen}
    return tuple(found.values())


def _masters_again(runtime: Runtime, seen: ClusterState) -> ClusterState:
    everyone = (*seen.listed, *seen.outside)
    masters = [each.instance for each in everyone if each.replication.master or each.replication.parked]
    answers = runtime.map_parallel(lambda each: _try(runtime, each), masters)
    again = {each.instance: each for each in answers if isinstance(each, Observation)}
    fresh = [again.get(each.instance, each) for each in everyone]
    count = len(seen.listed)
    return ClusterState(fresh[0], tuple(fresh[1:count]), tuple(fresh[count:]), seen.left_out)
