"""Each part of a running cluster is killed and restarted; the system does the rest."""

import json
from pathlib import Path

import pytest

from sandbox.cluster import Cluster
from tests.end_to_end.healing import count_while_the_scripts_move_the_master, wait_healed, wait_logged

# Healing may take a minute on a busy machine, and some tests wait for it twice.
pytestmark = pytest.mark.timeout(300)

SERVICES = ("dictator", "dnsd", "observer", "nameserver", "etcd")
NODES = ("core-01", "core-02")


@pytest.mark.parametrize("name", [*SERVICES, *NODES])
def test_the_cluster_heals_after_a_part_is_killed_and_restarted(applied: Cluster, name: str) -> None:
    part = applied.nameserver if name == "nameserver" else applied.parts[name]
    part.kill()
    part.start()
    wait_healed(applied, "core-01")
    applied.define(applied.document("core-02"))
    applied.apply()
    wait_healed(applied, "core-02")


@pytest.mark.parametrize("cluster", ["v2", pytest.param("v3", marks=pytest.mark.full)], indirect=True)
@pytest.mark.parametrize("name", ["dictator", "dnsd", "observer", "nameserver", "core-01", "core-02"])
def test_a_topology_applied_while_a_part_was_dead_is_in_effect_once_it_is_back(applied: Cluster, name: str) -> None:
    part = applied.nameserver if name == "nameserver" else applied.parts[name]
    part.kill()
    applied.define(applied.document("core-03"))
    applied.apply()
    part.start()
    wait_healed(applied, "core-03")


def test_all_services_and_nodes_start_again_at_once(applied: Cluster) -> None:
    for part in applied.parts.values():
        part.kill()
    for part in applied.parts.values():
        part.start()
    wait_healed(applied, "core-01")


def test_the_counter_loses_nothing_while_the_scripts_move_the_master(applied: Cluster, tmp_path: Path) -> None:
    count_while_the_scripts_move_the_master(applied.environment(), tmp_path)


def test_an_etcd_that_was_left_for_another_one_is_obeyed_again_once_its_life_is_renamed(applied: Cluster) -> None:
    document = json.dumps(applied.document("core-01"))
    another = {"Topology-Index": "21", "Topology-Cluster": "another life"}
    for service, path in ((applied.dictator, "/master"), (applied.dnsd, "/dns")):
        assert service.request("PUT", path, document, headers=another).status == 200
    applied.define(applied.document("core-02"))
    applied.apply()
    wait_logged(applied.observer.process, "409 Outdated", 0)
    assert applied.nodes["core-01"].redis.client().info("replication")["role"] == "master"
    applied.etcd.keys.delete("/config/redis-1/epoch")
    wait_healed(applied, "core-02")
