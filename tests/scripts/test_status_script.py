"""status.sh and pause.sh: what they show in each state of the cluster, and their exit status."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.cluster import Cluster
from sandbox.process import wait_until
from tests.scripts.conftest import Script, settle


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def row(shown: str, name: str) -> list[str]:
    """The words of an instance's line."""
    (line,) = [line for line in shown.splitlines() if f"{name}.redis-1.docker " in line and "wanted" not in line]
    return line.split()


def status(script: Script) -> Any:
    return json.loads(script("status.sh", "--json").stdout)


def test_says_that_nothing_is_defined(cluster: Cluster, script: Script) -> None:
    assert cluster.etcd.keys.get("/config/redis-1/topology") is None
    result = script("status.sh")
    assert result.returncode == 1
    assert result.stdout.startswith("wanted:   nothing is defined\n")
    assert "DNS:      ! no master" in result.stdout


def test_shows_each_instance_and_marks_nothing_when_all_is_well(cluster: Cluster, script: Script) -> None:
    settle(script, cluster, "core-01")
    cluster.nodes["core-01"].redis.client().set("a", "b")
    wait_until(lambda: cluster.nodes["core-02"].redis.client().dbsize() > 0, "core-02 has the key")
    result = script("status.sh")
    assert result.returncode == 0, result.stdout
    master, slave = (f"127.0.0.1:{cluster.nodes[name].port}" for name in ("core-01", "core-02"))
    assert row(result.stdout, "core-01")[1:3] == [master, "master"]
    assert row(result.stdout, "core-02")[1:5] == [slave, "slave", master, "up"]
    assert "wanted:   core-01.redis-1.docker as master, slaves core-02.redis-1.docker, " in result.stdout
    assert f"DNS:      master is {master}" in result.stdout
    assert re.search(r"outcome:  applied at \S+: OK", result.stdout)
    assert "!" not in result.stdout


def test_marks_a_slave_that_is_down(cluster: Cluster, script: Script) -> None:
    settle(script, cluster, "core-01")
    cluster.nodes["core-03"].stop()
    script("apply-topology.sh")
    result = script("status.sh")
    assert result.returncode == 1
    assert "! core-03.redis-1.docker: " in result.stdout
    assert row(result.stdout, "core-01")[0] != "!"
    wait_until(lambda: "outcome:  ! open" in script("status.sh").stdout, "the outcome is marked")


def test_marks_what_is_defined_but_not_applied(cluster: Cluster, script: Script) -> None:
    settle(script, cluster, "core-01")
    script("define-topology.sh", "-", stdin=json.dumps(cluster.document("core-02")))
    result = script("status.sh")
    assert result.returncode == 1
    assert row(result.stdout, "core-01")[0] == row(result.stdout, "core-02")[0] == "!"
    assert row(result.stdout, "core-03")[0] != "!"
    assert f"! wanted is 127.0.0.1:{cluster.nodes['core-02'].port}" in result.stdout


def test_shows_a_parked_instance_and_what_was_refused(cluster: Cluster, script: Script) -> None:
    settle(script, cluster, "core-01")
    master, slave = (cluster.nodes[name].redis.client() for name in ("core-01", "core-02"))
    slave.replicaof("NO", "ONE")
    slave.set("written", "elsewhere")
    master.set("written", "here")
    master.replicaof("127.0.0.1", "0")
    assert script("apply-topology.sh").returncode == 1
    shown = status(script)
    assert shown["well"] is False
    assert shown["outcome"]["state"] == "refused"
    assert shown["instances"][0]["role"] == "parked"
    assert script("apply-topology.sh", "--force").returncode in (0, 2)


def test_a_dictator_that_is_down_is_said(cluster: Cluster, script: Script) -> None:
    settle(script, cluster, "core-01")
    cluster.dictator.stop()
    try:
        result = script("status.sh")
        assert result.returncode == 1
        assert "dictator" in result.stdout
    finally:
        cluster.dictator.start()


def test_an_etcd_that_is_down_is_said(script: Script) -> None:
    result = script("status.sh", env={"ETCD_URL": "http://127.0.0.1:1"})
    assert result.returncode == 1
    assert result.stdout.count("etcd at http://127.0.0.1:1 doesn't answer") == 1
    # what it can't know it doesn't claim
    assert "wanted:   unknown" in result.stdout
    assert "is defined" not in result.stdout


def test_a_pause_is_shown_and_ends_with_the_topology_applied(cluster: Cluster, script: Script) -> None:
    settle(script, cluster, "core-01")
    assert script("pause.sh", "new switches").returncode == 0
    assert re.search(r"paused:   ! since \S+Z: new switches", script("status.sh").stdout)
    again = script("pause.sh", "once more")
    assert again.returncode == 1
    assert "already paused since" in again.stderr
    for name, *arguments in (("apply-topology.sh",), ("switch-master.sh", "core-02")):
        refused = script(name, *arguments)
        assert refused.returncode == 1
        assert "new switches; nothing is applied until pause.sh --resume" in refused.stderr
    assert status(script)["wanted"]["master"]["address"] == "core-01.redis-1.docker"
    script("define-topology.sh", "-", stdin=json.dumps(cluster.document("core-02")))
    resumed = script("pause.sh", "--resume")
    assert (resumed.returncode, resumed.stdout.splitlines()[-1]) == (0, "applied: OK")
    assert status(script)["instances"][0]["name"] == "core-02.redis-1.docker"
    assert script("pause.sh", "--resume").returncode == 1


def test_switches_the_master_by_any_of_its_names(cluster: Cluster, script: Script) -> None:
    settle(script, cluster, "core-01")
    for name, slaves in (("core-02", ("core-01", "core-03")), ("core-03.redis-1.docker", ("core-01", "core-02"))):
        result = script("switch-master.sh", name)
        assert (result.returncode, result.stdout) == (0, "applied: OK\n"), result.stderr
        defined = status(script)["wanted"]
        assert defined["master"]["address"].startswith(name)
        assert {entry["address"].partition(".")[0] for entry in defined["slaves"]} == set(slaves)
    assert "is the master of the defined topology already" in script("switch-master.sh", "core-03").stdout
    missing = script("switch-master.sh", "core-04")
    assert missing.returncode == 1
    assert "core-04 is not in the topology, which has core-03.redis-1.docker, " in missing.stderr


OTHER_OPERATOR = """#!/bin/sh
# curl, but before this operator's compare-and-swap somebody else writes
PATH=$REAL_PATH
case $* in
*prevIndex=*) curl -fsS -X PUT --data-urlencode "value@$OTHER" "$ETCD_URL/v2/keys/config/redis-1/topology" >&2 ;;
esac
exec curl "$@"
"""


def test_of_two_operators_at_once_one_is_told_and_none_is_overwritten(
    cluster: Cluster, script: Script, tmp_path: Path
) -> None:
    settle(script, cluster, "core-01")
    (tmp_path / "curl").write_text(OTHER_OPERATOR)
    (tmp_path / "curl").chmod(0o755)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(cluster.document("core-03")))
    path = os.environ["PATH"]
    result = script(
        "switch-master.sh", "core-02", env={"PATH": f"{tmp_path}:{path}", "REAL_PATH": path, "OTHER": str(other)}
    )
    assert result.returncode == 1
    assert "somebody else has changed the topology meanwhile" in result.stderr
    assert cluster.etcd.keys.get("/config/redis-1/topology") == other.read_text()
