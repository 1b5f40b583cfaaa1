"""Any client behind HAProxy, with the configuration of docs/clients.md: writes reach the master through switches."""

import json
import uuid
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from redis_counter.tally import Outcomes, tally
from sandbox.cluster import Cluster
from sandbox.haproxy import HaProxy
from sandbox.process import wait_until
from tests.end_to_end.healing import count_while_the_scripts_move_the_master

KEY = "through haproxy"
WRITES = 100


def apply(cluster: Cluster, master: str) -> None:
    document = cluster.document(master)
    cluster.define(document)
    cluster.apply()
    wait_until(lambda: cluster.nodes[master].redis.client().role()[0] == "master", f"{master} is master", 30)


def test_writes_through_haproxy_are_neither_missing_nor_phantom(cluster: Cluster, tmp_path: Path) -> None:
    apply(cluster, "core-01")
    with HaProxy(tmp_path / "haproxy", f"127.0.0.1:{cluster.dns_port}") as proxy:
        client = redis.Redis(port=proxy.port, retry=Retry(NoBackoff(), 0), decode_responses=True, socket_timeout=5)
        acked: list[str] = []
        refused: list[str] = []
        unknown: list[str] = []

        def write() -> bool:
            value = str(uuid.uuid4())
            try:
                client.rpush(KEY, value)
            except redis.ResponseError:
                refused.append(value)
            except redis.RedisError:
                unknown.append(value)
            else:
                acked.append(value)
                return True
            return False

        for master in ("core-02", "core-03", "core-01"):
            goal = len(acked) + WRITES
            wait_until(lambda goal=goal: write() and len(acked) >= goal, "writes are acknowledged", 30, 0)  # type: ignore[misc]
            apply(cluster, master)
            wait_until(write, f"a write is acknowledged by {master}", 30)
            held = cluster.nodes[master].redis.client().lrange(KEY, 0, -1)
            assert acked[-1] in held
        stored = [str(value) for value in cluster.nodes["core-01"].redis.client().lrange(KEY, 0, -1)]
        client.close()
    result = tally(Outcomes(tuple(acked), tuple(refused), tuple(unknown)), stored)
    assert result.missing == ()
    assert result.phantom == ()
    assert result.duplicates == ()
    assert result.acked > 3 * WRITES


def test_the_counter_through_haproxy_loses_nothing_while_the_scripts_move_the_master(
    cluster: Cluster, tmp_path: Path
) -> None:
    apply(cluster, "core-01")
    with HaProxy(tmp_path / "haproxy", f"127.0.0.1:{cluster.dns_port}") as proxy:
        cluster.etcd.keys.put("/skydns/docker/proxy", json.dumps({"host": "127.0.0.1", "port": proxy.port}))
        env = cluster.environment() | {"COUNTER_CLIENT": "plain", "COUNTER_SERVICE": "proxy.docker"}
        count_while_the_scripts_move_the_master(env, tmp_path)
