"""Hundreds of half-open connections to the dictator and dnsd, and as many that drip, keep no operator from changing."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pytest

from sandbox.cluster import Cluster
from sandbox.service import WebService
from tests.crowd import Crowd
from tests.end_to_end.healing import wait_healed

SILENT, DRIPPING = 500, 200
ROUNDS = 9
# a crowd once kept it waiting for 80 s
HEALTHZ_SECONDS = 1
# an apply waits for nobody but redis; far above what it takes, far below what a crowd could make of it
PUT_SECONDS = 5
MEMORY_MB = 250

Record = Callable[[str, object], None]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with a topology applied."""
    with Cluster(tmp_path / "cluster") as cluster:
        cluster.nodes["core-01"].redis.client().set("written-before-anything-happened", "value")
        cluster.define(cluster.document("core-01"))
        cluster.apply()
        wait_healed(cluster, "core-01")
        yield cluster


def seconds(service: WebService, method: str, path: str, body: str | None = None) -> float:
    """How long an honest request takes, by the median of some."""
    taken = []
    for _ in range(ROUNDS):
        started = time.monotonic()
        assert service.request(method, path, body, timeout=60).status == 200
        taken.append(time.monotonic() - started)
    return median(taken)


def memory(pid: int) -> float:
    """What the process and its children hold, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    own = next(int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith("VmRSS:"))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(memory(int(child)) for child in children)


def test_requests_take_their_usual_time_beside_slow_clients(cluster: Cluster, record_property: Record) -> None:
    document = json.dumps(cluster.document("core-01"))
    services = ((cluster.dictator, "/master"), (cluster.dnsd, "/dns"))
    usual = {service.name: seconds(service, "PUT", path, document) for service, path in services}
    with ExitStack() as stack:
        for service, _ in services:
            stack.enter_context(Crowd(service.port, SILENT, DRIPPING))
        for service, path in services:
            healthz = seconds(service, "GET", "/healthz")
            put = seconds(service, "PUT", path, document)
            held = memory(service.process.pid)
            figures = f"/healthz {1000 * healthz:.0f} ms, PUT {1000 * put:.0f} ms beside the crowd, "
            figures += f"{1000 * usual[service.name]:.0f} ms without, {held:.0f} MB"
            record_property(service.name, figures)
            assert healthz < HEALTHZ_SECONDS, figures
            assert put < usual[service.name] + PUT_SECONDS, figures
            assert held < MEMORY_MB, figures


def test_the_master_moves_beside_slow_clients(cluster: Cluster) -> None:
    with Crowd(cluster.dictator.port, SILENT, DRIPPING), Crowd(cluster.dnsd.port, SILENT, DRIPPING):
        cluster.define(cluster.document("core-02"))
        cluster.apply()
        wait_healed(cluster, "core-02")
