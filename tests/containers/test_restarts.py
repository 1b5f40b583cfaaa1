"""Containers that are killed, replaced and restarted while writers write: nothing is lost, and nobody needs help."""

import pytest

from sandbox.process import wait_until
from tests.containers.cluster import NODES, SERVICES, Cluster
from tests.containers.engine import docker

pytestmark = pytest.mark.timeout(600)


def test_a_killed_master_comes_back_under_another_address_by_itself(cluster: Cluster) -> None:
    before = cluster.address("core-01")
    with cluster.counter("moved") as counter:
        cluster.kill("core-01")
        cluster.disconnect("core-01")
        cluster.connect("core-01", last=77)
        cluster.start("core-01")
        assert cluster.address("core-01") not in (before, "")
        cluster.wait_converged("core-01")
        counted = counter.wait()
    assert counted.lossless, counted.output
    assert counted.status == 0


def test_a_killed_slave_comes_back_under_another_address_by_itself(cluster: Cluster) -> None:
    with cluster.counter("slave") as counter:
        cluster.kill("core-03")
        cluster.disconnect("core-03")
        cluster.connect("core-03", last=78)
        cluster.start("core-03")
        cluster.wait_converged("core-01")
        counted = counter.wait()
    assert counted.lossless, counted.output
    assert counted.status == 0


@pytest.mark.parametrize("node", ["core-01", "core-02"])
def test_a_removed_node_has_its_role_and_data_when_it_is_made_anew(cluster: Cluster, node: str) -> None:
    cluster.redis("core-01", "set", f"kept:{node}", "through the volumes")
    wait_until(lambda: bool(cluster.redis(node, "get", f"kept:{node}")), f"{node} has it")
    cluster.redis(node, "config", "rewrite")
    role = cluster.info(node)["role"]
    docker("rm", "--force", cluster.container(node))
    # alone: the others could give it its data back
    others = [cluster.container(other) for other in NODES if other != node]
    docker("pause", *others, cluster.container("dictator"))
    try:
        cluster.compose("up", "--detach", "--no-build", "--no-deps", node)
        wait_until(lambda: cluster.redis(node, "ping") == "PONG", f"{node} answers")
        assert cluster.info(node)["role"] == role
        assert cluster.redis(node, "get", f"kept:{node}") == "through the volumes"
    finally:
        docker("unpause", *others, cluster.container("dictator"))
    cluster.wait_converged("core-01")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_killed_amid_changes_of_master_costs_nothing(cluster: Cluster, service: str) -> None:
    cluster.compose("up", "--detach", "--no-build", "--no-deps", "mess-with-cluster")
    try:
        with cluster.counter(f"killed-{service}", count=32_000) as counter:
            before = cluster.changes()
            wait_until(lambda: cluster.changes() > before, "the master moves", timeout=90)
            cluster.kill(service)
            wait_until(
                lambda: service not in cluster.compose("ps", "--services", "--status", "running").split(), "gone"
            )
            cluster.start(service)
            restarted = cluster.changes()
            wait_until(lambda: cluster.changes() > restarted + 1, "the master moves again", timeout=90)
            assert counter.running
            counted = counter.wait()
    finally:
        cluster.compose("rm", "--stop", "--force", "mess-with-cluster")
    assert counted.lossless, counted.output
    assert counted.status == 0
    cluster.declare("core-02")
    cluster.wait_converged("core-02")


def test_every_node_is_made_anew_under_a_counter_by_composes_example(cluster: Cluster) -> None:
    # the example of rolling-restart.sh --help, with the file and the project of these tests
    restart = f"{cluster.command} up --detach --no-deps --force-recreate {{host}}"
    before = {node: cluster.identity(node) for node in NODES}
    with cluster.counter("rolling-restart", count=60_000) as counter:
        output = cluster.script("rolling-restart.sh", "--back", RESTART=restart)
        counted = counter.wait()
    assert counted.lossless, counted.output
    assert all(cluster.identity(node) != before[node] for node in NODES), output
    cluster.wait_converged("core-01")
