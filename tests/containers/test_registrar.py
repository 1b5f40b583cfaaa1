"""The registrar beside a real Docker: its records follow the containers, in etcd through both APIs."""

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from sandbox.etcd import EtcdServer
from sandbox.keys import KeysError
from sandbox.process import Process, wait_until
from tests.containers.engine import DockerError, docker, inspect

pytestmark = pytest.mark.timeout(600)

Run = Callable[..., str]


@pytest.fixture(params=["v2-3.4", "v3-3.7"])
def etcd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EtcdServer]:
    api, release = request.param.split("-")
    server = EtcdServer(tmp_path / "etcd", release=release, api=api)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def registrar(etcd: EtcdServer, engine: None, tmp_path: Path) -> Iterator[Process]:
    with registering(etcd, tmp_path, HOST_NAME="Test-Host", TTL="4", TTL_REFRESH="1") as process:
        yield process


@contextmanager
def registering(etcd: EtcdServer, tmp_path: Path, **settings: str) -> Iterator[Process]:
    """A registrar with these settings."""
    env = {"HOST_IP": "127.0.0.1", "DOMAIN": "test", "ETCD_API": etcd.api, "ETCD_PEERS": etcd.url} | settings
    process = Process([sys.executable, "-m", "registrar"], log=tmp_path / "registrar.log", env=env)
    process.start()
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture
def run(bases: dict[str, str]) -> Iterator[Run]:
    """Starts a container that sleeps, with these options; returns its name."""
    with ExitStack() as stack:

        def start(*options: str) -> str:
            name = f"registrar-test-{uuid.uuid4().hex[:8]}"
            stack.callback(remove, name)
            port = ("--publish", "127.0.0.1::6379")
            docker("run", "--detach", "--init", "--name", name, *port, *options, bases["PYTHON_BASE"], "sleep", "600")
            return name

        yield start


@pytest.fixture
def network(engine: None) -> Iterator[str]:
    """A network of Docker; ends after the containers in it."""
    name = f"registrar-test-{uuid.uuid4().hex[:8]}"
    docker("network", "create", name)
    yield name
    docker("network", "rm", name)


def remove(name: str) -> None:
    with suppress(DockerError):
        docker("rm", "--force", name)


def published(name: str) -> int:
    return int(docker("port", name, "6379").splitlines()[0].rpartition(":")[2])


def record_at(etcd: EtcdServer, key: str) -> dict[str, Any] | None:
    """The record at a key; None where there is none, or etcd is down."""
    try:
        value = etcd.keys.get(key)
    except KeysError:
        return None
    return None if value is None else json.loads(value)


def port_of(etcd: EtcdServer, key: str) -> int | None:
    """The port of the record at a key."""
    record = record_at(etcd, key)
    return None if record is None else record["port"]


def named(service: str) -> tuple[str, ...]:
    return ("--env", f"SERVICE_NAME={service}", "--env", "SERVICE_ID=core-01")


def test_a_record_follows_its_container(registrar: Process, etcd: EtcdServer, run: Run) -> None:
    name, key = run(*named("follow")), "/skydns/test/follow/core-01"
    wait_until(lambda: port_of(etcd, key) == published(name), "the container is registered", timeout=60)
    docker("stop", "--time", "0", name)
    wait_until(lambda: port_of(etcd, key) is None, "its record is gone", timeout=60)
    docker("start", name)
    wait_until(lambda: port_of(etcd, key) == published(name), "it is registered under its new port", timeout=60)
    docker("kill", name)
    wait_until(lambda: port_of(etcd, key) is None, "its record is gone again", timeout=60)


def test_finds_what_runs_at_its_start_and_leaves_records_at_its_end(
    etcd: EtcdServer, run: Run, registrar: Process
) -> None:
    registrar.kill()
    name, key = run(*named("before")), "/skydns/test/before/core-01"
    registrar.start()
    wait_until(lambda: port_of(etcd, key) == published(name), "the container is registered", timeout=60)
    registrar.stop()
    assert port_of(etcd, key) == published(name)
    wait_until(lambda: port_of(etcd, key) is None, "the record has expired", timeout=60)


def test_deletes_nothing_that_it_did_not_write(registrar: Process, etcd: EtcdServer, run: Run) -> None:
    name, key = run(*named("taken")), "/skydns/test/taken/core-01"
    etcd.keys.put("/skydns/test/others", json.dumps({"host": "10.0.0.9", "port": 1}))
    wait_until(lambda: port_of(etcd, key) == published(name), "the container is registered", timeout=60)
    registrar.pause()  # while another host takes the key over
    try:
        docker("rm", "--force", name)
        etcd.keys.put(key, json.dumps({"host": "10.0.0.9", "port": 2}))
    finally:
        registrar.resume()
    after = run(*named("after"))
    wait_until(
        lambda: port_of(etcd, "/skydns/test/after/core-01") == published(after), "a later one is there", timeout=60
    )
    assert port_of(etcd, key) == 2
    assert port_of(etcd, "/skydns/test/others") == 1


def test_heeds_the_conventions(registrar: Process, etcd: EtcdServer, run: Run) -> None:
    ignored = run(*named("ignored"), "--env", "SERVICE_IGNORE=1")
    plain = run("--label", "SERVICE_6379_NAME=labelled")
    key = f"/skydns/test/labelled/test-host:{plain}:6379"
    wait_until(lambda: port_of(etcd, key) == published(plain), "the container is registered", timeout=60)
    assert published(ignored)
    assert port_of(etcd, "/skydns/test/ignored/core-01") is None


def test_a_network_has_its_own_containers_registered_by_their_addresses(
    etcd: EtcdServer, network: str, run: Run, tmp_path: Path
) -> None:
    run(*named("outside"))
    inside, key = run(*named("network"), "--network", network), "/skydns/test/network/core-01"

    def is_registered() -> bool:
        record = record_at(etcd, key)
        address = inspect(inside)["NetworkSettings"]["Networks"][network]["IPAddress"]
        return record is not None and (record["host"], record["port"]) == (address, 6379)

    # refreshed so seldom that only Docker's events can be what it follows
    with registering(etcd, tmp_path, HOST_IP="", DOCKER_NETWORK=network, TTL="900", TTL_REFRESH="600"):
        wait_until(is_registered, "the container is registered", timeout=60)
        docker("network", "disconnect", network, inside)
        wait_until(lambda: record_at(etcd, key) is None, "its record is gone", timeout=60)
        docker("network", "connect", network, inside)
        wait_until(is_registered, "it is registered again", timeout=60)
        assert record_at(etcd, "/skydns/test/outside/core-01") is None


def test_records_are_back_after_an_etcd_that_was_away(registrar: Process, etcd: EtcdServer, run: Run) -> None:
    name, key = run(*named("back")), "/skydns/test/back/core-01"
    wait_until(lambda: port_of(etcd, key) == published(name), "the container is registered", timeout=60)
    etcd.stop()
    wait_until(lambda: "failed to register" in registrar.log.read_text(), "the registrar notices", timeout=60)
    etcd.start()
    etcd.keys.delete(key)
    wait_until(lambda: port_of(etcd, key) == published(name), "it is registered again", timeout=60)
