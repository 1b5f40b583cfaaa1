"""Runs the operator's scripts as an operator would, in the shells that they are written for."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from sandbox.cluster import Cluster
from sandbox.etcd import EtcdServer
from sandbox.keys import Keys
from sandbox.process import ROOT, wait_until
from sandbox.skydns import SkyDns

SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"]}
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    """Debian's /bin/sh, then busybox's."""
    return SHELLS[request.param]


@pytest.fixture
def environment(etcd: EtcdServer) -> Mapping[str, str]:
    """Points the scripts at the test's etcd."""
    return {**os.environ, "ETCD_URL": etcd.url}


@pytest.fixture
def run(shell: list[str], environment: Mapping[str, str]) -> Run:
    """Runs scripts/NAME with arguments; `stdin` is text, `env` is added to the environment."""

    def run(
        name: str, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None, cwd: Path = ROOT
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*shell, str(ROOT / "scripts" / name), *arguments],
            input=stdin,
            env={**environment, **(env or {})},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def keys(etcd: EtcdServer) -> Keys:
    """What etcd holds."""
    return Keys(etcd.url)


@pytest.fixture
def skydns(etcd: EtcdServer, tmp_path: Path) -> Iterator[SkyDns]:
    """Answers from what etcd holds."""
    with SkyDns(etcd.url, tmp_path / "skydns") as server:
        yield server


Result = subprocess.CompletedProcess[str]


class Script(Protocol):
    """Runs scripts/NAME against a cluster."""

    def __call__(self, name: str, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Result: ...


def scripts_of(cluster: Cluster) -> Script:
    """Runs the scripts as the cluster's operator does."""
    environment = {**os.environ, **cluster.environment()}

    def run(name: str, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Result:
        return subprocess.run(
            ["sh", f"scripts/{name}", *arguments],
            cwd=ROOT,
            env={**environment, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    return run


@pytest.fixture
def script(cluster: Cluster) -> Script:
    """Runs the scripts against `cluster`."""
    return scripts_of(cluster)


def define(script: Script, cluster: Cluster, master: str, *options: str) -> Result:
    """Define the topology with this node as master, and apply it."""
    return script("define-topology.sh", "--apply", *options, "-", stdin=json.dumps(cluster.document(master)))


def settle(script: Script, cluster: Cluster, master: str) -> None:
    """Bring everything up, with this node as master, and wait until status.sh finds nothing wrong."""
    cluster.etcd.keys.delete("/config/redis-1/paused")
    for node in cluster.nodes.values():
        if not node.running:
            node.start()
    wait_until(lambda: define(script, cluster, master).returncode == 0, f"{master} is master", timeout=60)
    wait_until(lambda: script("status.sh").returncode == 0, "all is well", timeout=60, interval=0.2)
