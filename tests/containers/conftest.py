"""A Docker engine, the images, and one cluster that is whole again at the start of every test."""

import os
from collections.abc import Iterator

import pytest

from tests.containers import engine as docker_engine
from tests.containers.cluster import Cluster
from tests.containers.engine import BASES, command, environment

PROJECT = "safe-redis-containers"


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """An engine that answers, with Compose; stopped at the end if it was started here."""
    running = docker_engine.answers()
    if not running and os.geteuid() != 0:
        pytest.skip("no Docker engine answers, and only root can start one")
    command(["sh", "scripts/docker-engine.sh", "start"], timeout=600)
    yield
    if not running:
        command(["sh", "scripts/docker-engine.sh", "stop"], timeout=120)


@pytest.fixture(scope="session")
def bases(engine: None) -> dict[str, str]:
    """The base images, by the names of their build arguments in docker-compose.test.yml."""
    given = environment()
    if any(given[name] == image for name, image in BASES.items()):
        command(["sh", "scripts/base-images.sh"], timeout=600)
    return {name: given[name] for name in BASES}


@pytest.fixture(scope="session")
def images(bases: dict[str, str]) -> None:
    """All images of docker-compose.test.yml, with the tag test."""
    Cluster(PROJECT, "172.30.98").compose("build", timeout=600)


class Shared:
    """The one cluster, and how many tests had failed when it was last known to be whole."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.failed = 0


@pytest.fixture(scope="session")
def _shared(images: None) -> Iterator[Shared]:
    cluster = Cluster(PROJECT, "172.30.98")
    cluster.down()  # what an interrupted run has left
    with cluster:
        yield Shared(cluster)


@pytest.fixture
def cluster(_shared: Shared, request: pytest.FixtureRequest) -> Cluster:
    """A cluster with core-01 as its master. One that a failed test has left in whatever state is made anew."""
    cluster = _shared.cluster
    if request.session.testsfailed != _shared.failed:
        _shared.failed = request.session.testsfailed
        cluster.down()
        cluster.up()
    cluster.declare("core-01")
    cluster.wait_converged("core-01")
    return cluster
