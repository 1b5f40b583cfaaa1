"""Runs the operator's scripts as an operator would, in the shells that they are written for."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from sandbox.cluster import Cluster
from sandbox.etcd import EtcdServer
from sandbox.keys import Keys
from sandbox.process import ROOT
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
