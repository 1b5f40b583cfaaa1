"""A counter in a process of its own, with a real redis and DNS from a real etcd."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.etcd import EtcdServer
from sandbox.keys import Keys
from sandbox.process import ROOT
from sandbox.redis import RedisServer
from sandbox.skydns import SkyDns

KEY = "debug:counter:stack"
COMMAND = [sys.executable, "redis-counter"]


@dataclass(frozen=True)
class Cluster:
    """Just enough of one: a name server, and a way to say who is master."""

    keys: Keys
    dns: SkyDns

    def publish(self, host: str, port: int) -> None:
        """From now on DNS names this one."""
        self.keys.put("/skydns/docker/redis-1/master", json.dumps({"host": host, "port": port}))

    def master(self, server: RedisServer) -> None:
        """From now on DNS names this server."""
        self.publish(server.host, server.port)

    def environment(self, settings: Mapping[str, object]) -> dict[str, str]:
        """Fast unless told otherwise."""
        names = {
            "NAMESERVERS": self.dns.host,
            "NAMESERVERS_PORT": self.dns.port,
            "COUNTER_INTERVAL": 0,
            "COUNTER_COUNT": 100,
            **settings,
        }
        return {**os.environ, **{name: str(value) for name, value in names.items()}}


@pytest.fixture
def cluster(etcd: EtcdServer, tmp_path: Path) -> Iterator[Cluster]:
    """Nobody is master yet."""
    with SkyDns(etcd.url, tmp_path / "skydns") as dns:
        yield Cluster(Keys(etcd.url), dns)


Count = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def count(cluster: Cluster) -> Count:
    """Runs a counter to its end; keywords are its environment."""

    def count(**settings: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            COMMAND,
            cwd=ROOT,
            env=cluster.environment(settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return count


@contextmanager
def counting(cluster: Cluster, **settings: object) -> Iterator["subprocess.Popen[str]"]:
    """A counter that runs while the test does something else."""
    with subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env=cluster.environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
