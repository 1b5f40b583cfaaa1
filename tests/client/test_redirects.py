"""CLIENT CAPA redirect: asked of whatever may know it, and of nothing else for as long as that is certain."""

import asyncio
import threading
from typing import Any

import pytest
import redis

from safe_redis.client import locate
from safe_redis.srv import Endpoint, Resolver
from sandbox.process import wait_until
from tests.client.conftest import Group
from tests.client.test_aio import connected


def upgrade(group: Group) -> None:
    """From Redis to Valkey, at the same addresses."""
    for name in "ab":
        group[name].stop()
        group[name].install("valkey-8.0")
        group[name].start()
    group.hand_over("b", "a")
    wait_until(lambda: group["b"].client().role()[3] == "connected", "b follows a")


def move(group: Group) -> None:
    """From a to b; a read at a is an old one from now on."""
    group.switch()
    group["a"].client().config_resetstat()


def test_a_server_that_was_upgraded_redirects_reads(pair: Group) -> None:
    client = pair.connect()
    client.set("key", "value")
    upgrade(pair)
    client.set("key", "value")
    move(pair)
    assert client.get("key") == "value"
    assert pair.executed("a", "get") == 0


async def test_a_server_that_was_upgraded_redirects_reads_with_asyncio(pair: Group) -> None:
    async with connected(pair) as client:
        await client.set("key", "value")
        await asyncio.to_thread(upgrade, pair)
        await client.set("key", "value")
        await asyncio.to_thread(move, pair)
        assert await client.get("key") == "value"
    assert pair.executed("a", "get") == 0


def test_a_server_is_asked_again_after_a_while(pair: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slave is upgraded while nobody is connected to it."""
    monkeypatch.setattr(locate, "PLAIN_LIFE", 0.2)
    client = pair.connect()
    client.ping()
    locator, place = client.connection_pool.locator, Endpoint(pair["a"].host, pair["a"].port)
    assert not locator.redirects(place)
    wait_until(lambda: locator.redirects(place), "it may have been upgraded")


@pytest.fixture
def busy(group: Group) -> Any:
    """A Valkey that executes a script without end; ends it."""
    group.add("a", flavour="valkey-8.0", config={"busy-reply-threshold": "1"})
    group.publish("a")
    server = group["a"].client(socket_timeout=20)

    def run() -> None:
        with pytest.raises(redis.ResponseError):
            server.eval("while true do end", 0)

    thread = threading.Thread(target=run)
    thread.start()

    def refuses() -> bool:
        try:
            group["a"].client().get("key")
        except redis.ResponseError as error:
            return str(error).startswith("BUSY")
        return False

    def end() -> None:
        group["a"].client().script_kill()
        thread.join()

    wait_until(refuses, "it is busy")
    return end


def test_a_server_that_was_busy_is_asked_again(group: Group, busy: Any) -> None:
    client = group.connect()
    with pytest.raises(redis.ResponseError, match="BUSY"):
        client.get("key")
    busy()
    assert client.get("key") is None
    assert group.executed("a", "client|capa") > 0


async def test_a_server_that_was_busy_is_asked_again_with_asyncio(group: Group, busy: Any) -> None:
    async with connected(group) as client:
        with pytest.raises(redis.ResponseError, match="BUSY"):
            await client.get("key")
        await asyncio.to_thread(busy)
        assert await client.get("key") is None
    assert group.executed("a", "client|capa") > 0


def test_a_limited_number_of_addresses_is_remembered() -> None:
    locator = locate.Locator(Resolver(["127.0.0.1"]), "master.redis-1.docker")
    places = [Endpoint("127.0.0.1", port) for port in range(10_000)]
    for place in places:
        locator.leave(place)
        locator.has_no_redirects(place)
        assert locator.has_left(place)
        assert not locator.redirects(place)
    assert sum(locator.has_left(place) for place in places) <= locate.KNOWN
    assert sum(not locator.redirects(place) for place in places) <= locate.KNOWN
