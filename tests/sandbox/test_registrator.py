"""The registrator stand-in: when a record exists, and when it doesn't."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from sandbox.registrator import Registrator

KEY = "/skydns/docker/redis-1/core-01"
Make = Callable[..., Registrator]


@pytest.fixture
def registrator(etcd: EtcdServer) -> Iterator[Make]:
    """Makes a started one; options as Registrator's."""
    with ExitStack() as stack:

        def make(**options: float) -> Registrator:
            made = Registrator(etcd.keys, **options)  # type: ignore[arg-type]  # ttl is whole
            stack.callback(made.stop)
            made.start()
            return made

        yield make


def test_writes_the_record_with_its_ttl_after_the_delay(etcd: EtcdServer, registrator: Make) -> None:
    begun = time.monotonic()
    registrator(delay=0.3).register("redis-1", "core-01", "127.0.0.1", 49153, lambda: True)
    _wait_for_record(etcd)
    assert time.monotonic() - begun >= 0.3
    node = etcd.keys.node(KEY)
    assert node is not None
    assert json.loads(node["value"]) == {"host": "127.0.0.1", "port": 49153}
    assert 28 <= node["ttl"] <= 30


def test_refreshes_the_record_while_the_service_lives(etcd: EtcdServer, registrator: Make) -> None:
    registrator(delay=0, refresh=0.05).register("redis-1", "core-01", "h", 1, lambda: True)
    _wait_for_record(etcd)
    first = _index(etcd)
    wait_until(lambda: _index(etcd) >= first + 3, "the record is written three times more")


def test_the_record_of_a_service_that_died_expires(etcd: EtcdServer, registrator: Make) -> None:
    living = True
    made = registrator(delay=0, refresh=0.05, ttl=1)
    made.register("redis-1", "core-01", "h", 1, lambda: living)
    _wait_for_record(etcd)
    living = False
    wait_until(lambda: etcd.keys.get(KEY) is None, "the record expires")


def test_deletes_the_record_of_a_service_that_stops(etcd: EtcdServer, registrator: Make) -> None:
    made = registrator(delay=0, refresh=0.05)
    made.register("redis-1", "core-01", "h", 1, lambda: True)
    _wait_for_record(etcd)
    made.deregister("redis-1", "core-01")
    assert etcd.keys.get(KEY) is None
    made.register("redis-1", "core-02", "h", 1, lambda: True)
    wait_until(lambda: etcd.keys.get("/skydns/docker/redis-1/core-02") is not None, "the other record is written")
    assert etcd.keys.get(KEY) is None


def test_a_service_that_stops_before_its_record_is_written_never_has_one(etcd: EtcdServer, registrator: Make) -> None:
    made = registrator(delay=0.1)
    made.register("redis-1", "core-01", "h", 1, lambda: True)
    made.deregister("redis-1", "core-01")
    made.register("redis-1", "core-02", "h", 1, lambda: True)
    wait_until(lambda: etcd.keys.get("/skydns/docker/redis-1/core-02") is not None, "the other record is written")
    assert etcd.keys.get(KEY) is None


def test_a_new_port_takes_the_place_of_the_old(etcd: EtcdServer, registrator: Make) -> None:
    made = registrator(delay=0)
    made.register("redis-1", "core-01", "h", 1, lambda: True)
    _wait_for_record(etcd)
    made.register("redis-1", "core-01", "h", 2, lambda: True)
    wait_until(lambda: json.loads(etcd.keys.get(KEY) or "{}")["port"] == 2, "the new port")


def test_writes_the_record_once_etcd_is_back(etcd: EtcdServer, registrator: Make) -> None:
    made = registrator(delay=0)
    etcd.kill()
    made.register("redis-1", "core-01", "h", 1, lambda: True)
    made.deregister("redis-1", "core-02")
    etcd.start()
    _wait_for_record(etcd)


def _wait_for_record(etcd: EtcdServer) -> None:
    wait_until(lambda: etcd.keys.get(KEY) is not None, "the record is written")


def _index(etcd: EtcdServer) -> int:
    node = etcd.keys.node(KEY)
    return node["modifiedIndex"] if node else 0
