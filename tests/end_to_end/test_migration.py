"""A running cluster moves from etcd's v2 API and SkyDNS to v3 and CoreDNS, as docs/systemd.md says."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dns.exception
import pytest

from sandbox.cluster import Cluster
from sandbox.coredns import CoreDns
from sandbox.keys_v3 import KeysV3
from sandbox.process import wait_until
from sandbox.registrator import Registrator
from sandbox.unit import HOST, TOPOLOGY
from tests.end_to_end.healing import KEPT, Writers, wait_healed

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """On etcd 3.4, which has both APIs."""
    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        yield cluster


def published(coredns: CoreDns, name: str) -> set[int]:
    try:
        return {srv.port for rrset in coredns.query(name).answer for srv in rrset}
    except (OSError, dns.exception.DNSException):
        return set()


def test_the_master_stays_is_found_through_coredns_and_no_write_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    master, slave = cluster.nodes["core-01"], cluster.nodes["core-02"]
    master.redis.client().set(KEPT, "value")
    cluster.define(cluster.document("core-01"))
    cluster.apply()
    wait_healed(cluster, "core-01")
    syncs = master.redis.client().info("stats")["sync_full"]

    with ExitStack() as stack:
        before = Writers(cluster, tmp_path / "before", key="before")
        stack.callback(before.process.kill)
        before.start()
        # 1. CoreDNS and the registrar beside what there is
        coredns = stack.enter_context(CoreDns(cluster.etcd.url, tmp_path / "coredns"))
        keys = KeysV3(cluster.etcd.url)
        registrator = Registrator(keys, delay=0)
        stack.callback(registrator.stop)
        registrator.start()
        for node in (master, slave):
            registrator.register(node.service, node.instance, HOST, node.port, lambda: True)
        # 2. and 3. the services stop, and get new settings
        for service in (cluster.observer, cluster.dnsd, cluster.dictator):
            service.stop()
        cluster.observer.env |= {"ETCD_API": "v3", "DNS_PORT": str(coredns.port)}
        cluster.dnsd.env["ETCD_API"] = "v3"
        cluster.dictator.env["NAMESERVERS_PORT"] = str(coredns.port)
        keys.put(TOPOLOGY, json.dumps(cluster.document("core-01")))
        # 4. they start, and the registrar finds them
        for unit in (cluster.dictator, cluster.dnsd):
            unit.start()
            registrator.register(unit.service, unit.instance, HOST, unit.port, lambda: True)
        cluster.observer.start()
        wait_until(
            lambda: (
                published(coredns, "master.redis-1.docker") == {master.port}
                and published(coredns, "slaves.redis-1.docker") == {slave.port}
            ),
            "CoreDNS knows master and slave",
            timeout=60,
        )
        # nothing moved, and the next change goes through v3
        assert master.redis.client().info("stats")["sync_full"] == syncs
        assert slave.redis.client().get(KEPT) == master.redis.client().get(KEPT)
        before.wait_progress("core-01")
        # 5. clients ask CoreDNS from now on; the one from before has written all the while
        before.assert_nothing_lost()
        after = Writers(cluster, tmp_path / "after", key="after", dns_port=coredns.port)
        stack.callback(after.process.kill)
        after.start()
        keys.put(TOPOLOGY, json.dumps(cluster.document("core-02")))
        keys.put("/config/redis-1/topology-trigger", "move")
        wait_until(
            lambda: published(coredns, "master.redis-1.docker") == {slave.port},
            "CoreDNS knows the new master",
            timeout=60,
        )
        assert slave.redis.client().info("replication")["role"] == "master"
        after.wait_progress("core-02")
        after.assert_nothing_lost()
