"""Containers cut off the network for a while: clear answers meanwhile, nothing lost, and recovery without help."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from sandbox.process import wait_until
from tests.containers.cluster import NODES, Cluster
from tests.containers.engine import docker

pytestmark = pytest.mark.timeout(600)

MASTER = "http://dictator:8080/master"
DNS = "http://dnsd:8080/dns"


@contextmanager
def cut_off(cluster: Cluster, service: str) -> Iterator[None]:
    """The service lives on without a network. A node's record stays: its host's registrar would be cut off with it."""
    with ExitStack() as stack:
        if service in NODES:
            docker("pause", cluster.container("registrar"))
            stack.callback(docker, "unpause", cluster.container("registrar"))
        cluster.disconnect(service)
        stack.callback(cluster.connect, service)
        yield


def test_a_slave_cut_off_is_named_and_follows_once_it_is_back(cluster: Cluster) -> None:
    with cluster.counter("slave-cut-off") as counter:
        with cut_off(cluster, "core-03"):
            status, line = cluster.put(MASTER, "core-02")
            assert status == 202
            assert "core-03" in line
            cluster.declare("core-02")
            wait_until(lambda: cluster.address("core-02") in cluster.master_in_dns(), "DNS follows", timeout=90)
        cluster.wait_converged("core-02")
        counted = counter.wait()
    assert counted.lossless, counted.output
    assert counted.status == 0


def test_a_master_cut_off_is_waited_for(cluster: Cluster) -> None:
    with cluster.counter("master-cut-off") as counter:
        with cut_off(cluster, "core-01"):
            status, line = cluster.put(MASTER, "core-02")
            assert status == 503
            assert "core-01" in line
            status, line = cluster.put(MASTER, "core-01")
            assert status == 503
            assert "core-01" in line
            assert cluster.info("core-02")["role"] == "slave"
        cluster.wait_converged("core-01")
        counted = counter.wait()
    assert counted.lossless, counted.output
    assert counted.status == 0


def test_a_forced_promotion_keeps_every_write_of_the_surviving_side(cluster: Cluster) -> None:
    with ExitStack() as stack:
        with cut_off(cluster, "core-01"):
            cluster.declare("core-02", force=True)
            wait_until(lambda: cluster.address("core-02") in cluster.master_in_dns(), "DNS follows", timeout=90)
            counter = stack.enter_context(cluster.counter("survivors"))
            cluster.redis("core-01", "set", "written", "on the wrong side")
        status, line = refusal(cluster)
        assert status == 409
        assert "core-01" in line
        counted = counter.wait()
    assert counted.lossless, counted.output
    assert counted.status == 0
    assert cluster.redis("core-01", "get", "written") == "on the wrong side", "nobody has touched it"
    length = cluster.redis("core-02", "llen", "survivors")
    cluster.declare("core-02", force=True)
    cluster.wait_converged("core-02")
    assert cluster.redis("core-01", "llen", "survivors") == length
    assert cluster.redis("core-01", "get", "written") == ""


def refusal(cluster: Cluster) -> tuple[int, str]:
    """What the dictator answers once core-01 has been found again; until then it leaves it out."""
    answer = (0, "")

    def core_01_resolves() -> bool:
        nonlocal answer
        answer = cluster.put(MASTER, "core-02")
        return answer[0] != 202

    wait_until(core_01_resolves, "core-01 is found again", timeout=90)
    return answer


def test_etcd_cut_off_stops_no_writer_and_everything_goes_on_afterwards(cluster: Cluster) -> None:
    with cluster.counter("etcd-cut-off") as counter:
        with cut_off(cluster, "etcd"):
            status, line = cluster.put(DNS, "core-01")
            assert status == 503
            assert "etcd" in line
            assert json.loads(cluster.run_in("dictator", "python3", "-c", GET))["instances"]
            assert counter.running
        cluster.wait_converged("core-01")
        cluster.declare("core-02")
        cluster.wait_converged("core-02")
        counted = counter.wait()
    assert counted.lossless, counted.output
    assert counted.status == 0


GET = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/master').read().decode())"
