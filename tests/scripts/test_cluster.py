"""The scripts against the whole cluster, as its operator uses them."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sandbox.cluster import Cluster
from sandbox.process import ROOT, wait_until


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def environment(cluster: Cluster) -> Mapping[str, str]:
    return {**os.environ, **cluster.environment()}


def script(environment: Mapping[str, str], name: str, *arguments: str, stdin: str = "") -> str:
    """What a script that must succeed prints."""
    command = ["sh", f"scripts/{name}", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True, timeout=30, check=True
    ).stdout


def master_in_dns(environment: Mapping[str, str]) -> str:
    """The port of what redis-cli.sh finds, if that says it is master; else nothing."""
    try:
        role, *_ = script(environment, "redis-cli.sh", "ROLE").split()
        port = script(environment, "redis-cli.sh", "CONFIG", "GET", "port").split()[1]
    except subprocess.CalledProcessError:  # not in DNS yet
        return ""
    return port if role == "master" else ""


def becomes_master(cluster: Cluster, environment: Mapping[str, str], name: str) -> None:
    port = str(cluster.nodes[name].port)
    wait_until(lambda: master_in_dns(environment) == port, f"{name} is master, and DNS says so", timeout=30)


def test_defining_and_applying_makes_the_master_and_tells_dns(
    cluster: Cluster, environment: Mapping[str, str], tmp_path: Path
) -> None:
    for name in ("core-01", "core-02"):
        (tmp_path / "topology.json").write_text(json.dumps(cluster.document(name)))
        script(environment, "define-topology.sh", str(tmp_path / "topology.json"))
        script(environment, "apply-topology.sh", "--no-wait")
        becomes_master(cluster, environment, name)


def test_messing_moves_the_master_through_all_instances(cluster: Cluster, environment: Mapping[str, str]) -> None:
    script(environment, "define-topology.sh", "-", stdin=json.dumps(cluster.document("core-01")))
    script(environment, "apply-topology.sh", "--no-wait")
    becomes_master(cluster, environment, "core-01")
    with subprocess.Popen(
        ["sh", "scripts/mess-with-cluster.sh"],
        cwd=ROOT,
        env={**environment, "MESS_INTERVAL": "2"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            for name in ("core-02", "core-03", "core-01"):
                becomes_master(cluster, environment, name)
        finally:
            process.terminate()
        assert process.wait(10) == 0
