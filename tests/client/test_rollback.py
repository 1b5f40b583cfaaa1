"""A switch that is undone while a client asks the fenced master where to go: it goes on there, and looks nowhere."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from safe_redis.client import connection
from safe_redis.client.aio import connection as aio_connection
from sandbox.process import wait_until
from tests.client.conftest import Group
from tests.client.test_aio import connected


@pytest.fixture
def misled(pair: Group, monkeypatch: pytest.MonkeyPatch) -> Group:
    """Whoever asks a fenced master does so for long; whoever asks DNS instead is sent to the slave."""
    monkeypatch.setattr(connection, "POLLS", 10_000)
    monkeypatch.setattr(aio_connection, "POLLS", 10_000)
    return pair


@contextmanager
def undone(group: Group, client: Any) -> Iterator[None]:
    """A switch that goes as far as the fence, and is undone as soon as the client asks for the new master."""
    group.publish("b")
    group.fence()
    master = group["a"].client()
    locator = client.connection_pool.locator

    def undo() -> None:
        wait_until(lambda: locator.asked is not None, "it asks", interval=0.001)
        master.replicaof("NO", "ONE")

    thread = threading.Thread(target=undo)
    thread.start()
    connections = received(group)
    yield
    thread.join()
    assert received(group) == connections + 1  # the one that asks for them


def received(group: Group) -> int:
    """How many connections b has accepted so far, with the one that asks."""
    stats: dict[str, int] = group["b"].client().info("stats")
    return stats["total_connections_received"]


def test_goes_on_at_once_where_the_switch_is_undone(misled: Group) -> None:
    client = misled.connect()
    client.incr("counter")
    with undone(misled, client):
        assert client.incr("counter") == 2
        assert client.incr("counter") == 3


async def test_goes_on_at_once_where_the_switch_is_undone_with_asyncio(misled: Group) -> None:
    async with connected(misled) as client:
        await client.incr("counter")
        with undone(misled, client):
            assert await client.incr("counter") == 2
            assert await client.incr("counter") == 3
