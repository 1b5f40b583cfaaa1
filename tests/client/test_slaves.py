"""Reads at the slaves: what one refuses goes to another, and a write is refused at once, in a pipeline as well."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis
from redis.exceptions import ReadOnlyError

from safe_redis.client import aio, connect_to_slaves
from sandbox.process import wait_until
from tests.client.conftest import SLAVES, Group

WRITES: list[Callable[[Any], Any]] = [
    lambda client: client.set("key", "value"),
    lambda client: client.pipeline(transaction=False).set("key", "value").execute(),
    lambda client: client.pipeline().set("key", "value").execute(),
]
kinds = pytest.mark.parametrize("write", WRITES, ids=["command", "pipeline", "transaction"])


@pytest.fixture
def trio(group: Group) -> Group:
    """Master a; its slaves b, which DNS names, and c. A slave without its master answers MASTERDOWN."""
    group.add("a", "b", "c", config={"replica-serve-stale-data": "no"})
    group["a"].client().set("key", "value")
    wait_until(lambda: all(group[name].client().get("key") == "value" for name in "bc"), "the slaves have it")
    group.publish_slaves("b")
    return group


def halt(group: Group) -> None:
    """As the dictator does with b amid a switch; from now on DNS names c, too."""
    group["b"].client().replicaof("0.0.0.0", "0")
    group.publish_slaves("c")


@contextlib.asynccontextmanager
async def reading(group: Group, **options: Any) -> AsyncIterator[aio.Redis]:
    """A client of the slaves."""
    client = aio.connect_to_slaves(SLAVES, decode_responses=True, **group.nameserver(), **options)
    try:
        yield client
    finally:
        await client.aclose()


def reader(group: Group, **options: Any) -> redis.Redis:
    """The same, blocking."""
    client = connect_to_slaves(SLAVES, decode_responses=True, **group.nameserver(), **options)
    group.stack.callback(client.close)
    return client


def test_a_read_that_a_halted_slave_refuses_goes_to_another(trio: Group) -> None:
    client = reader(trio)
    assert client.get("key") == "value"
    halt(trio)
    assert client.get("key") == "value"
    assert trio.executed("c", "get") > 0


async def test_a_read_that_a_halted_slave_refuses_goes_to_another_with_asyncio(trio: Group) -> None:
    async with reading(trio) as client:
        assert await client.get("key") == "value"
        await asyncio.to_thread(halt, trio)
        assert await client.get("key") == "value"


def test_a_pipeline_that_a_halted_slave_refuses_goes_to_another(trio: Group) -> None:
    client = reader(trio)
    assert client.get("key") == "value"
    halt(trio)
    pipe: Any = client.pipeline(transaction=False)
    assert pipe.get("key").strlen("key").execute() == ["value", 5]


async def test_a_pipeline_that_a_halted_slave_refuses_goes_to_another_with_asyncio(trio: Group) -> None:
    async with reading(trio) as client:
        assert await client.get("key") == "value"
        await asyncio.to_thread(halt, trio)
        pipe: Any = client.pipeline(transaction=False)
        assert await pipe.get("key").strlen("key").execute() == ["value", 5]


def test_a_pipeline_waits_for_a_slave_that_can_be_connected_to(pair: Group) -> None:
    pair.publish_slaves("b")
    pair["b"].stop()
    start = threading.Timer(0.2, pair["b"].start)
    start.start()
    pipe: Any = reader(pair).pipeline(transaction=False)
    assert pipe.get("key").execute() == [None]
    start.join()


@kinds
def test_a_write_is_refused_at_once(pair: Group, write: Callable[[Any], Any]) -> None:
    pair.publish_slaves("b")
    with pytest.raises(ReadOnlyError):
        write(reader(pair, patience=60))


@kinds
async def test_a_write_is_refused_at_once_with_asyncio(pair: Group, write: Callable[[Any], Any]) -> None:
    pair.publish_slaves("b")
    async with reading(pair, patience=60) as client:
        with pytest.raises(ReadOnlyError):
            await asyncio.wait_for(write(client), 20)
