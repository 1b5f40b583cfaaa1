"""A running cluster with a topology applied, and writers on it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox.cluster import Cluster
from tests.end_to_end.healing import KEPT, Writers, wait_healed


@pytest.fixture(params=["v2", "v3"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """The whole cluster, with etcd's v2 API and the SkyDNS stand-in, and with v3 and the real CoreDNS."""
    with Cluster(tmp_path / "cluster", api=request.param) as cluster:
        yield cluster


@pytest.fixture
def applied(cluster: Cluster) -> Cluster:
    """core-01 is the master and holds data, core-02 and core-03 are its slaves."""
    cluster.nodes["core-01"].redis.client().set(KEPT, "value")
    cluster.define(cluster.document("core-01"))
    cluster.apply()
    wait_healed(cluster, "core-01")
    return cluster


@pytest.fixture
def writers(applied: Cluster, tmp_path: Path) -> Iterator[Writers]:
    """Two of redis-counter's writers, writing."""
    with ExitStack() as stack:
        writers = Writers(applied, tmp_path / "counter")
        stack.callback(writers.process.kill)
        writers.start()
        yield writers
