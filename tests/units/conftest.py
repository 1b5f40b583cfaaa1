"""Two hosts with the units on them, once for all tests of this folder."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from safe_redis import __version__
from sandbox.process import MARK, ROOT
from tests.units.cluster import Cluster
from tests.units.hosts import IMAGE, Hosts

# As docker-compose.test.yml names them
SERVICES = ("core-01", "dictator", "dnsd", "topology-observer", "registrar", "redis-counter")
NAMES = ("node", "dictator", "dnsd", "topology-observer", "registrar", "redis-counter")
PRODUCT = tuple(f"safe-redis/{name}" for name in NAMES)


def _run(*command: str) -> None:
    # without the mark by which the tests find what they have left behind: an engine that is started here is stopped
    # by its own script
    environ = {name: value for name, value in os.environ.items() if name != MARK}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """A Docker engine: the one that runs, or one that is started for the tests and stopped after them."""
    engine = ("sh", "scripts/docker-engine.sh")
    ours = subprocess.run(("docker", "version"), capture_output=True, check=False).returncode != 0
    _run(*engine, "start")
    try:
        yield
    finally:
        if ours:
            _run(*engine, "stop")


@pytest.fixture(scope="session")
def images(engine: None) -> tuple[str, ...]:
    """The product's images, built from what is here; and that of the hosts."""
    _run("sh", "scripts/base-images.sh")
    _run("docker", "compose", "-f", "docker-compose.test.yml", "build", "--quiet", *SERVICES)
    _run("docker", "build", "--quiet", "--tag", IMAGE, "--file", "tests/units/host/Dockerfile", ".")
    return tuple(f"{image}:test" for image in PRODUCT)


@pytest.fixture(scope="session")
def _cluster(images: tuple[str, ...]) -> Iterator[Cluster]:
    # one has capitals in its name: etcd tells Core-02 and core-02 apart, DNS doesn't
    with Hosts(("core-01", "Core-02"), images) as hosts:
        for host in hosts:
            for image in images:
                host.run("docker", "tag", image, image.replace(":test", f":{__version__}"))
        yield Cluster(tuple(hosts))


@pytest.fixture
def cluster(_cluster: Cluster) -> Cluster:
    """The cluster with everything running, the topology applied, and core-01 its master."""
    _cluster.start()
    if not _cluster.is_settled("core-01"):
        _cluster.define(master="core-01")
        _cluster.settle()
    return _cluster
