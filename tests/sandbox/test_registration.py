"""Registration of containers by probing them: records, and the trigger."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from sandbox.redis import RedisServer
from sandbox.registration import Registration, parse
from sandbox.registrator import Registrator

RECORD = "/skydns/docker/redis-1/core-01"
TRIGGER = "/config/redis-1/topology-trigger"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "core-01")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def registration(etcd: EtcdServer, redis: RedisServer) -> Iterator[Registration]:
    registrator = Registrator(etcd.keys, ttl=1, refresh=0.1, delay=0)
    registrator.start()
    container = parse(f"redis-1/core-01={redis.host}:{redis.port}")
    yield Registration(etcd.keys, registrator, [container], "redis-1")
    registrator.stop()


def test_a_node_that_answers_is_registered_and_the_trigger_written(
    etcd: EtcdServer, redis: RedisServer, registration: Registration
) -> None:
    registration.probe_all()
    wait_until(lambda: etcd.keys.get(RECORD) is not None, "the node is registered")
    assert etcd.keys.get(RECORD) == f'{{"host": "127.0.0.1", "port": {redis.port}}}'
    assert etcd.keys.get(TRIGGER)


def test_a_node_that_still_runs_has_the_trigger_written_once(etcd: EtcdServer, registration: Registration) -> None:
    registration.probe_all()
    first = etcd.keys.node(TRIGGER)
    registration.probe_all()
    assert etcd.keys.node(TRIGGER) == first


def test_a_node_that_has_restarted_has_the_trigger_written_again(
    etcd: EtcdServer, redis: RedisServer, registration: Registration
) -> None:
    registration.probe_all()
    first = etcd.keys.node(TRIGGER)
    redis.restart()
    registration.probe_all()
    assert etcd.keys.node(TRIGGER) != first


def test_the_record_of_a_node_that_does_not_answer_expires(
    etcd: EtcdServer, redis: RedisServer, registration: Registration
) -> None:
    registration.probe_all()
    wait_until(lambda: etcd.keys.get(RECORD) is not None, "the node is registered")
    redis.kill()
    registration.probe_all()
    wait_until(lambda: etcd.keys.get(RECORD) is None, "the record has expired")


def test_a_node_that_was_only_out_of_reach_is_registered_again_without_a_trigger(
    etcd: EtcdServer, redis: RedisServer, registration: Registration
) -> None:
    registration.probe_all()
    wait_until(lambda: etcd.keys.get(RECORD) is not None, "the node is registered")
    first = etcd.keys.node(TRIGGER)
    redis.pause()
    registration.probe_all()
    wait_until(lambda: etcd.keys.get(RECORD) is None, "the record has expired")
    redis.resume()
    registration.probe_all()
    wait_until(lambda: etcd.keys.get(RECORD) is not None, "the node is registered again")
    assert etcd.keys.node(TRIGGER) == first
