"""The registrar's rounds on a real etcd: what a refresh leaves alone, and what it writes again."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from registrar import settings
from registrar.containers import Docker
from registrar.records import Container, Port
from registrar.registrar import Registrar
from safe_redis.etcd import Store
from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from sandbox.web import LOOPBACK, request

KEY = "/skydns/docker/redis-1/core-01"
OURS = {"host": "10.0.0.1", "port": 49153, "ttl": 5}
OTHERS = json.dumps({"host": "10.0.0.2", "port": 49999})


class Running:
    """In the place of Docker: the containers that it says run. Docker itself is in tests/containers."""

    def __init__(self) -> None:
        variables = (("SERVICE_NAME", "redis-1"), ("SERVICE_ID", "core-01"))
        self.containers: tuple[Container, ...] = (
            Container("redis-1-node", "node", variables, (Port(6379, "tcp", 49153),)),
        )

    def running(self) -> tuple[Container, ...]:
        return self.containers


class Overtaken:
    """A store over which another host writes the key once, between the look at it and what follows."""

    def __init__(self, store: Store, etcd: EtcdServer) -> None:
        self._store = store
        self._etcd = etcd
        self._left = 1

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def swap(self, key: str, value: str, ttl: int | None, index: int) -> int | None:
        self._overtake(key)
        return self._store.swap(key, value, ttl, index)

    def delete(self, key: str, index: int = 0) -> bool:
        self._overtake(key)
        return self._store.delete(key, index)

    def _overtake(self, key: str) -> None:
        if self._left:
            self._left -= 1
            self._etcd.keys.put(key, OTHERS)


@pytest.fixture(params=["v2-3.4", "v3-3.7"])
def etcd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EtcdServer]:
    api, release = request.param.split("-")
    with EtcdServer(tmp_path / "etcd", release=release, api=api) as server:
        yield server


def registrar(
    etcd: EtcdServer, docker: Running, *, overtaken: bool = False, ttl_refresh: str = "0.000001"
) -> Registrar:
    """One whose records are due again in every round, unless told otherwise."""
    env = {"HOST_IP": "10.0.0.1", "ETCD_API": etcd.api, "ETCD_PEERS": etcd.url, "TTL_REFRESH": ttl_refresh}
    chosen, store = settings.read(env)
    return Registrar(cast("Docker", docker), cast("Store", Overtaken(store, etcd)) if overtaken else store, chosen)


def value(etcd: EtcdServer) -> str | None:
    return etcd.keys.get(KEY)


def index(etcd: EtcdServer) -> int:
    return int((etcd.keys.node(KEY) or {})["modifiedIndex"])


def test_writes_a_record_again_while_its_container_runs(etcd: EtcdServer) -> None:
    made = registrar(etcd, Running())
    made.round()
    first = index(etcd)
    made.round()
    assert index(etcd) > first
    assert json.loads(value(etcd) or "") == OURS


def test_writes_a_record_again_that_is_gone(etcd: EtcdServer) -> None:
    made = registrar(etcd, Running())
    made.round()
    etcd.keys.delete(KEY)
    made.round()
    assert json.loads(value(etcd) or "") == OURS


def test_leaves_what_another_host_has_written_while_a_container_that_moved_is_stopping(
    etcd: EtcdServer, caplog: pytest.LogCaptureFixture
) -> None:
    docker = Running()
    made = registrar(etcd, docker)
    made.round()
    etcd.keys.put(KEY, OTHERS)
    made.round()
    assert value(etcd) == OTHERS
    assert f"left {KEY} alone, which another has written: {OTHERS}" in caplog.text
    docker.containers = ()
    made.round()
    assert value(etcd) == OTHERS


def test_takes_a_record_back_whose_container_goes_on_running(etcd: EtcdServer) -> None:
    made = registrar(etcd, Running())
    made.round()
    etcd.keys.put(KEY, OTHERS)
    made.round()
    made.round()
    assert json.loads(value(etcd) or "") == OURS


def test_a_refresh_that_is_overtaken_writes_nothing(etcd: EtcdServer) -> None:
    made = registrar(etcd, Running(), overtaken=True)
    made.round()
    made.round()
    assert value(etcd) == OTHERS
    made.round()
    assert value(etcd) == OTHERS, "it is looked at again first"


def test_a_new_container_takes_the_key_over_at_once(etcd: EtcdServer) -> None:
    etcd.keys.put(KEY, OTHERS)
    registrar(etcd, Running()).round()
    assert json.loads(value(etcd) or "") == OURS


def test_a_removal_that_is_overtaken_removes_nothing(etcd: EtcdServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    docker = Running()
    made = registrar(etcd, docker, overtaken=True, ttl_refresh="20")
    made.round()
    docker.containers = ()
    made.round()
    assert value(etcd) == OTHERS
    assert "removed" not in caplog.text


def test_what_etcd_refuses_is_not_tried_again_at_once(tmp_path: Path) -> None:
    with EtcdServer(tmp_path / "etcd") as etcd:

        def asked() -> int:
            return int(json.loads(request((LOOPBACK, etcd.port), "GET", "/v2/stats/store").body)["getsFail"])

        made = registrar(etcd, Running(), ttl_refresh="1")
        made.round()
        parent = KEY.rpartition("/")[0]
        assert request((LOOPBACK, etcd.port), "DELETE", f"/v2/keys{parent}?recursive=true").status == 200
        etcd.keys.put(parent, "in the way: no directory any more")
        before = asked()

        def refused() -> bool:
            made.round()
            return asked() > before

        wait_until(refused, "the refresh is refused")
        for _ in range(100):
            made.round()
        assert asked() - before < 50, "etcd itself reads now and then"


def test_a_removal_that_etcd_refuses_keeps_no_other_record_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with EtcdServer(tmp_path / "etcd") as etcd:
        docker = Running()
        (ended,) = docker.containers
        made = registrar(etcd, docker, ttl_refresh="20")
        made.round()
        parent = KEY.rpartition("/")[0]
        assert request((LOOPBACK, etcd.port), "DELETE", f"/v2/keys{parent}?recursive=true").status == 200
        etcd.keys.put(parent, "in the way: no directory any more")
        variables = (("SERVICE_NAME", "redis-2"), ("SERVICE_ID", "core-01"))
        docker.containers = (replace(ended, variables=variables),)
        made.round()
        made.round()
        assert etcd.keys.get("/skydns/docker/redis-2/core-01") is not None
        assert caplog.text.count("failed to remove") == 1, "what can't be removed expires"
