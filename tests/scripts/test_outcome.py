"""What apply-topology.sh makes of an outcome: its exit status and its lines, on the whole cluster."""

import json
from collections.abc import Iterator

import pytest

from sandbox.cluster import Cluster
from tests.scripts.conftest import Script, define, settle

STATUS = "/config/redis-1/topology-status"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _settled(cluster: Cluster, script: Script) -> None:
    """core-01 is master, and all is well."""
    settle(script, cluster, "core-01")


def test_an_applied_topology_is_exit_status_0(cluster: Cluster, script: Script) -> None:
    result = define(script, cluster, "core-02")
    assert (result.returncode, result.stdout, result.stderr) == (0, "applied: OK\n", "")
    assert cluster.nodes["core-02"].redis.client().role()[0] == "master"


def test_the_outcome_in_etcd_says_who_answered_what_to_which_trigger(cluster: Cluster, script: Script) -> None:
    assert script("apply-topology.sh").returncode == 0
    status = json.loads(cluster.etcd.keys.get(STATUS) or "")
    trigger, topology = (cluster.etcd.keys.node(f"/config/redis-1/{name}") for name in ("topology-trigger", "topology"))
    assert trigger
    assert topology
    assert (status["trigger"], status["document"]) == (trigger["modifiedIndex"], topology["modifiedIndex"])
    assert [(entry["url"], entry["status"], entry["line"]) for entry in status["receivers"]] == [
        ("http://redis-1-dictator.docker/master", 200, "OK"),
        ("http://redis-1-dnsd.docker/dns", 200, "OK"),
    ]


def test_something_open_is_exit_status_2_and_named(cluster: Cluster, script: Script) -> None:
    cluster.nodes["core-03"].stop()
    result = script("apply-topology.sh")
    assert result.returncode == 2
    assert "core-03" in result.stderr


def test_a_refusal_is_exit_status_1_with_the_dictators_line(cluster: Cluster, script: Script) -> None:
    # two instances with histories of their own
    redis = cluster.nodes["core-03"].redis.client()
    redis.replicaof("NO", "ONE")
    redis.set("written", "elsewhere")
    cluster.nodes["core-01"].redis.client().set("written", "here")
    refused = script("apply-topology.sh")
    assert refused.returncode == 1
    assert "refused: Refused: " in refused.stderr
    assert "core-03" in refused.stderr
    forced = script("apply-topology.sh", "--force")
    assert forced.returncode in (0, 2)


def test_a_failure_that_lasts_is_exit_status_1_after_the_timeout(cluster: Cluster, script: Script) -> None:
    cluster.nodes["core-02"].stop()
    result = define(script, cluster, "core-02", "--timeout", "2")
    assert result.returncode == 1
    assert "not applied within 2 s, the observer goes on trying: " in result.stderr
    assert "core-02" in result.stderr


def test_a_dry_run_prints_the_steps_and_changes_nothing(cluster: Cluster, script: Script) -> None:
    script("define-topology.sh", "-", stdin=json.dumps(cluster.document("core-02")))
    result = script("apply-topology.sh", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "promote core-02.redis-1.docker" in result.stdout
    assert cluster.nodes["core-01"].redis.client().role()[0] == "master"
