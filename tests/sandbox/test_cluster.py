"""The cluster: what starts, what the start of a node does, and that nothing is left running."""

import socket
from pathlib import Path

import pytest

from sandbox import leftovers
from sandbox.cluster import Cluster
from sandbox.process import ProcessError, wait_until
from sandbox.unit import TRIGGER
from tests.conftest import RUN


def test_dns_has_all_parts_at_the_ports_where_they_listen(cluster: Cluster) -> None:
    assert list(cluster.nodes) == ["core-01", "core-02", "core-03"]
    for node in cluster.nodes.values():
        assert _port(cluster, node.address) == node.redis.port
        assert node.redis.client().ping()
    assert _port(cluster, "redis-1-dictator.docker") == cluster.dictator.port
    assert _port(cluster, "redis-1-dnsd.docker") == cluster.dnsd.port
    assert cluster.dictator.request("GET", "/healthz")[0] == 200
    assert cluster.dnsd.request("GET", "/healthz")[0] == 200


def test_a_node_starts_again_under_a_new_port_with_its_data(cluster: Cluster) -> None:
    node = cluster.nodes["core-02"]
    node.redis.client().set("key", "value")
    port, trigger = node.redis.port, cluster.etcd.keys.get(TRIGGER)

    node.stop()
    assert not cluster.resolves(node.address)
    node.start()

    assert node.redis.port != port
    assert node.redis.client().get("key") == "value"
    assert cluster.etcd.keys.get(TRIGGER) not in (trigger, "force")
    wait_until(lambda: cluster.resolves(node.address), "the node is registered")
    assert _port(cluster, node.address) == node.redis.port


def test_a_killed_node_stays_registered_until_its_record_expires(cluster: Cluster) -> None:
    node = cluster.nodes["core-02"]
    node.kill()
    assert cluster.resolves(node.address)


@pytest.mark.parametrize("name", ["dictator", "dnsd"])
def test_a_service_starts_again_under_a_new_port_and_writes_the_trigger(cluster: Cluster, name: str) -> None:
    service = getattr(cluster, name)
    port, trigger = service.port, cluster.etcd.keys.get(TRIGGER)
    service.kill()
    service.start()
    assert service.port != port
    assert cluster.etcd.keys.get(TRIGGER) not in (trigger, "force")
    wait_until(lambda: _port(cluster, f"redis-1-{name}.docker") == service.port, "it is registered again")


def test_a_unit_that_can_not_write_the_trigger_does_not_stay_up(cluster: Cluster) -> None:
    cluster.etcd.kill()
    node = cluster.nodes["core-02"]
    node.kill()
    with pytest.raises(ProcessError, match="core-02 could not write the trigger: etcd at"):
        node.start()
    assert not node.running


def test_a_running_part_is_not_started_twice(cluster: Cluster) -> None:
    for name, part in cluster.parts.items():
        with pytest.raises(ProcessError, match="already"):
            part.start()
        assert part.running, name


def test_a_cluster_leaves_neither_process_nor_listener_behind(tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        listeners = [cluster.etcd.port, cluster.dns_port, cluster.dictator.port, cluster.dnsd.port]
        listeners += [node.redis.port for node in cluster.nodes.values()]
        assert all(map(_listens, listeners))
    assert not any(map(_listens, listeners))
    assert not _left(tmp_path)


def test_a_part_that_does_not_come_up_is_reported_with_its_log_and_the_rest_is_stopped(
    tmp_path: Path,
) -> None:
    broken = Cluster(tmp_path / "cluster", settings={"dictator": {"PAUSE_TIMEOUT": "soon"}})
    with pytest.raises(ProcessError, match=r"(?s)dictator.*PAUSE_TIMEOUT='soon'"):
        broken.start()
    broken.stop()
    assert not _left(tmp_path)


def test_settings_for_an_unknown_part_name_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\['dictatr'\]; known: .*dictator"):
        Cluster(tmp_path, settings={"dictatr": {}})


def _port(cluster: Cluster, name: str) -> int:
    (answer,) = cluster.nameserver.query(name).answer
    (srv,) = answer
    return int(srv.port)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _left(directory: Path) -> list[leftovers.Leftover]:
    """Redis and etcd have the directory in their command lines; the services are recognized by their names."""
    known = (str(directory), "dictator", "dnsd", "topology_observer")
    return [left for left in leftovers.find(RUN) if any(name in left.command for name in known)]
