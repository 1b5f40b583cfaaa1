"""Fixtures with real servers, and the rule that no test leaves a process behind."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from sandbox import leftovers
from sandbox.cluster import Cluster
from sandbox.etcd import EtcdServer
from sandbox.process import MARK, wait_until
from sandbox.redis import RedisServer
from sandbox.skydns import SkyDns

RUN = uuid.uuid4().hex
LEFT_OUT = pytest.StashKey[int]()
"""The number of tests that --docker=no leaves out."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run also what takes long: whole sweeps, not samples")
    parser.addoption(
        "--docker", choices=("all", "no", "only"), default="all", help="what to do with tests that need a Docker engine"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: takes long, runs only with --full")
    os.environ[MARK] = RUN
    # nohup and shells ignore these signals in background jobs, and children inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # A busy machine must not fail a test; pytest's own time limit ends what hangs.
    settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("unhurried")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Deselected rather than skipped: a skip means that this machine lacks something.
    if not config.getoption("--full"):
        _deselect(config, items, [item for item in items if item.get_closest_marker("full")])
    need_docker = [item for item in items if "engine" in getattr(item, "fixturenames", ())]
    if config.getoption("--docker") == "no":
        config.stash[LEFT_OUT] = len(need_docker)
        _deselect(config, items, need_docker)
    elif config.getoption("--docker") == "only":
        _deselect(config, items, [item for item in items if item not in need_docker])


def _deselect(config: pytest.Config, items: list[pytest.Item], unwanted: list[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=unwanted)
    items[:] = [item for item in items if item not in unwanted]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left_out := config.stash.get(LEFT_OUT, 0):
        line = f"NOT RUN: {left_out} tests of images, containers and units, which need a Docker engine (--docker=no)"
        terminalreporter.write_line(line, red=True, bold=True)


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    # Processes that are killed with their parent need a moment to end.
    with suppress(TimeoutError):
        wait_until(lambda: not leftovers.find(RUN), "every process has ended", timeout=3)
    left = leftovers.find(RUN)
    for process in left:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    assert not left, "tests left processes behind"


StartRedis = Callable[..., RedisServer]


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[StartRedis]:
    """Starts a redis in a directory of the given name; the options are RedisServer's."""
    with ExitStack() as stack:

        def start(name: str = "redis", **options: Any) -> RedisServer:
            server = RedisServer(tmp_path / name, **options)
            stack.callback(server.kill)
            server.start()
            return server

        yield start


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdServer]:
    """An etcd with the v2 API, empty."""
    server = EtcdServer(tmp_path / "etcd")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def skydns(etcd: EtcdServer, tmp_path: Path) -> Iterator[SkyDns]:
    """A SkyDNS stand-in over `etcd`."""
    server = SkyDns(etcd.url, tmp_path / "skydns")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """The whole cluster with three nodes; nothing is defined yet."""
    with Cluster(tmp_path / "cluster") as cluster:
        yield cluster
