"""rolling-restart.sh: upgrades every node under a counter without losing a write, and can be gone on with."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.cluster import Cluster
from sandbox.control import listening
from sandbox.process import ROOT, Process, wait_until
from tests.scripts.conftest import Script, scripts_of, settle

PROGRESS = "/config/redis-1/rolling-restart"


@contextmanager
def running(directory: Path, flavour: str) -> Iterator[Cluster]:
    """A settled cluster that takes the sandbox's commands."""
    with Cluster(directory, flavour=flavour) as cluster, listening(cluster):
        settle(scripts_of(cluster), cluster, "core-01")
        yield cluster


def restart_command(cluster: Cluster, flavour: str = "") -> dict[str, str]:
    return {"RESTART": f"{sys.executable} -m sandbox restart {{host}} {flavour} --directory {cluster.directory}"}


def versions(script: Script) -> set[str]:
    return {
        entry["version"].rpartition(".")[0] for entry in json.loads(script("status.sh", "--json").stdout)["instances"]
    }


@pytest.mark.parametrize(
    ("old", "new", "version"),
    [
        pytest.param("redis-6.2", "redis-7.0", "redis 7.0", marks=pytest.mark.full),
        ("redis-7.0", "valkey-8.0", "valkey 8.0"),
    ],
)
def test_upgrades_every_node_under_a_counter_and_loses_nothing(
    tmp_path: Path, old: str, new: str, version: str
) -> None:
    with running(tmp_path / "cluster", old) as cluster:
        script = scripts_of(cluster)
        env = cluster.environment() | {"COUNTER_COUNT": "1000000", "COUNTER_INTERVAL": "2", "COUNTER_WRITERS": "2"}
        counter = Process([sys.executable, "redis-counter"], log=tmp_path / "counter", env=env)
        counter.start()
        try:
            wait_until(lambda: cluster.nodes["core-01"].redis.client().llen("debug:counter:stack") > 100, "it counts")
            result = script("rolling-restart.sh", "--back", env=restart_command(cluster, new))
            assert result.returncode == 0, result.stdout + result.stderr
        finally:
            counter.stop(60)
        assert versions(script) == {version}
        assert result.stdout.splitlines()[-1].endswith("done: 3 nodes restarted, core-01.redis-1.docker is master")
        order = re.findall(r"(core-\d\d)\.redis-1\.docker: restarting", result.stdout)
        assert order == ["core-02", "core-03", "core-01"]
        counted = re.search(r"ack'd: (\d+) \((\d+) missing\) err'd: \d+ \((\d+) phantom\)", counter.log.read_text())
        assert counted, counter.log.read_text()
        assert int(counted[1]) > 100
        assert (counted[2], counted[3]) == ("0", "0")


def test_stops_at_the_first_thing_that_is_not_well_and_is_gone_on_with(tmp_path: Path) -> None:
    with running(tmp_path / "cluster", "redis-7.0") as cluster:
        script = scripts_of(cluster)

        failed = script(
            "rolling-restart.sh", env={"RESTART": "test {host} = core-02 && " + restart_command(cluster)["RESTART"]}
        )
        assert failed.returncode == 1
        assert "stopped: the command for core-03.redis-1.docker failed with exit status 1" in failed.stderr
        assert "run it again: it goes on from here" in failed.stderr
        assert json.loads(cluster.etcd.keys.get(PROGRESS) or "")["done"] == ["core-02.redis-1.docker"]

        idle = script("rolling-restart.sh", "--timeout", "1", env={"RESTART": "true"})
        assert idle.returncode == 1
        assert "core-03.redis-1.docker hasn't been restarted after 1 s" in idle.stderr

        before = {name: node.pid for name, node in cluster.nodes.items()}
        finished = script("rolling-restart.sh", env=restart_command(cluster))
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert "done: core-02.redis-1.docker" in finished.stdout
        restarted = {name for name, node in cluster.nodes.items() if node.pid != before[name]}
        assert restarted == {"core-03", "core-01"}
        assert cluster.etcd.keys.get(PROGRESS) is None

        cluster.nodes["core-03"].stop()
        unwell = script("rolling-restart.sh", env=restart_command(cluster))
        assert unwell.returncode == 1
        assert "core-03" in unwell.stderr


def test_restarts_no_master_and_leaves_no_node_out_when_somebody_moves_the_master_meanwhile(tmp_path: Path) -> None:
    with running(tmp_path / "cluster", "redis-7.0") as cluster:
        before = {name: node.pid for name, node in cluster.nodes.items()}
        restart = restart_command(cluster)["RESTART"]
        move = f"if test {{host}} = core-02; then sh {ROOT}/scripts/switch-master.sh core-03 || test $? = 2; fi"
        result = scripts_of(cluster)("rolling-restart.sh", env={"RESTART": f"{restart} && {move}"})
        assert result.returncode == 0, result.stdout + result.stderr
        roles = re.findall(r"(core-\d\d)\.redis-1\.docker: restarting \((\w+)", result.stdout)
        assert roles == [("core-02", "slave"), ("core-01", "slave"), ("core-03", "slave")]
        assert all(node.pid != before[name] for name, node in cluster.nodes.items())


def test_without_a_command_it_does_nothing(script: Script, cluster: Cluster) -> None:
    result = script("rolling-restart.sh")
    assert result.returncode == 1
    assert "RESTART is not set" in result.stderr
