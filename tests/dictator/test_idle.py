"""Connections that were only looked through serve the next run as well; those that acted never do."""

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dictator.idle import IdleConnections
from dictator.instance import Instance
from dictator.link import NoAnswer
from dictator.runtime import RedisRuntime
from dictator.settings import Settings
from sandbox.process import wait_until
from sandbox.redis import RedisServer

PATIENCE = 30.0
ID = ("CLIENT", "ID")


@pytest.fixture
def server(start_redis: Callable[..., RedisServer]) -> RedisServer:
    """One instance."""
    return start_redis()


@pytest.fixture
def run(server: RedisServer) -> Iterator[Callable[..., Any]]:
    """Each call is a run of one dictator: it may take over, and sends a command; the result is the reply."""
    idle = IdleConnections()
    instance = Instance("core-01", server.host, server.port)

    def run(*command: str, acts: bool = False) -> Any:
        with RedisRuntime(Settings(reply_timeout=0.5), pool, idle) as runtime:
            if acts:
                assert runtime.take_over([instance]) == {}
            return runtime.link(instance).send(command)[0]

    with ThreadPoolExecutor(1) as pool:
        yield run


def test_the_next_run_looks_through_the_same_connection(run: Callable[..., Any]) -> None:
    first = run(*ID)
    assert run(*ID) == first
    assert run(*ID, acts=True) != first, "what acts makes sure that the address still leads there"


def test_a_connection_that_acted_is_not_used_again(run: Callable[..., Any], server: RedisServer) -> None:
    acted = run(*ID, acts=True)
    assert run(*ID) != acted
    assert all(client["name"] == "" for client in server.client().client_list())


def test_two_runs_at_the_same_time_have_connections_of_their_own(server: RedisServer) -> None:
    idle, instance = IdleConnections(), Instance("core-01", server.host, server.port)
    with ThreadPoolExecutor(1) as pool:
        with RedisRuntime(Settings(), pool, idle) as first, RedisRuntime(Settings(), pool, idle) as second:
            assert first.link(instance).send(ID) != second.link(instance).send(ID)
        with RedisRuntime(Settings(), pool, idle) as third:
            third.link(instance).send(ID)
    # the one in whose place another was kept is closed
    wait_until(lambda: len(server.client().client_list()) == 2, "one is kept, besides this test's own", PATIENCE)


def test_a_restart_of_the_instance_does_no_harm(run: Callable[..., Any], server: RedisServer) -> None:
    run(*ID)
    server.restart()
    assert run("PING") == "PONG"
    server.restart()
    assert run("SET", "key", "value", acts=True) == "OK"


def test_a_connection_with_a_reply_outstanding_is_not_used_again(run: Callable[..., Any], server: RedisServer) -> None:
    first = run(*ID)
    server.process.pause()
    with pytest.raises(NoAnswer):
        run("PING")
    server.process.resume()
    wait_until(server.answers, "it goes on", PATIENCE)
    assert run(*ID) != first


def test_connections_are_closed_with_the_dictator(server: RedisServer) -> None:
    idle, instance = IdleConnections(), Instance("core-01", server.host, server.port)
    with ThreadPoolExecutor(1) as pool, RedisRuntime(Settings(), pool, idle) as runtime:
        runtime.link(instance).send(ID)
    assert len(server.client().client_list()) == 2
    del idle, runtime
    gc.collect()
    wait_until(lambda: len(server.client().client_list()) == 1, "only this test's own is left", PATIENCE)


def test_connections_that_nobody_wants_are_closed(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dictator.idle.KEPT", -1.0)
    idle = IdleConnections()
    with ThreadPoolExecutor(1) as pool:
        for name in ("core-01", "core-02"):
            with RedisRuntime(Settings(), pool, idle) as runtime:
                runtime.link(Instance(name, server.host, server.port)).send(ID)
    wait_until(lambda: len(server.client().client_list()) == 2, "the older one is closed", PATIENCE)
