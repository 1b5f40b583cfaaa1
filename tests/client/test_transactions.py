"""Transactions are executed as one or not at all, and a WATCH that was lost is noticed."""

import asyncio
from typing import Any

import pytest
import redis

from sandbox.process import wait_until
from tests.client.conftest import Group
from tests.client.test_aio import connected

COUNT = "return redis.call('INCR', KEYS[1])"


def split(group: Group) -> None:
    """From a to b, as a has stopped: what it reads is old."""
    group.fence()
    group.promote()
    group.publish("b")
    group["b"].client().set("key", "new")


@pytest.mark.parametrize("flavour", ["redis-6.2", "redis-7.0", "valkey-8.0"])
def test_a_transaction_whose_script_is_refused_is_sent_again_as_one(group: Group, flavour: str) -> None:
    """EXEC is not refused, as EVALSHA may only read; the script's own write is."""
    group.add("a", "b", flavour=flavour)
    group.publish("a")
    client = group.connect()
    client.set("key", "old")
    count = client.register_script(COUNT)
    assert count(keys=["counter"]) == 1
    split(group)
    pipe: Any = client.pipeline()
    pipe.get("key")
    count(keys=["counter"], client=pipe)
    assert pipe.execute() == ["new", 2]


async def test_a_transaction_whose_script_is_refused_is_sent_again_as_one_with_asyncio(pair: Group) -> None:
    async with connected(pair) as client:
        await client.set("key", "old")
        count = client.register_script(COUNT)
        assert await count(keys=["counter"]) == 1
        await asyncio.to_thread(split, pair)
        pipe: Any = client.pipeline()
        pipe.get("key")
        await count(keys=["counter"], client=pipe)
        assert await pipe.execute() == ["new", 2]


def test_a_connection_that_is_closed_after_watch_raises_watch_error(pair: Group) -> None:
    client = pair.connect()
    client.set("counter", 1)
    pipe: Any
    with client.pipeline() as pipe:
        pipe.watch("counter")
        count = int(pipe.get("counter"))
        client.connection_pool.disconnect()  # as another thread's close() does
        pair["a"].client().incr("counter")
        with pytest.raises(redis.WatchError):
            pipe.get("key")
    assert count == 1
    assert client.incr("counter") == 3


async def test_a_connection_that_is_closed_after_watch_raises_watch_error_with_asyncio(pair: Group) -> None:
    async with connected(pair) as client:
        pipe: Any
        async with client.pipeline() as pipe:
            await pipe.watch("counter")
            await client.connection_pool.disconnect()
            with pytest.raises(redis.WatchError):
                await pipe.get("key")
        assert await client.incr("counter") == 1


@pytest.mark.parametrize("flavour", ["redis-6.2", "redis-7.0", "valkey-8.0"])
def test_a_script_that_was_refused_is_sent_again(group: Group, flavour: str) -> None:
    group.add("a", "b", flavour=flavour)
    group.publish("a")
    client = group.connect()
    assert client.eval(COUNT, 1, "counter") == 1
    wait_until(lambda: group["b"].client().get("counter") == "1", "b has it")
    group.switch()
    assert client.eval(COUNT, 1, "counter") == 2
    pipe: Any = client.pipeline(transaction=False)
    group.switch("b", "a")
    assert pipe.eval(COUNT, 1, "counter").get("counter").execute() == [3, "3"]
