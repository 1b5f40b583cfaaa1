"""A client with one connection only, as `client()` makes it, lives through a switch like the others."""

import asyncio
import threading

from tests.client.conftest import Group
from tests.client.test_aio import connected


def test_a_single_connection_follows_a_switch(pair: Group) -> None:
    with pair.connect().client() as client:
        assert client.incr("counter") == 1
        pair.switch()
        assert client.incr("counter") == 2
    assert pair["b"].client().get("counter") == "2"


def test_a_single_connection_is_opened_as_soon_as_there_is_a_master(pair: Group) -> None:
    pair.fence()
    finish = threading.Timer(0.1, pair.complete)
    finish.start()
    with pair.connect().client() as client:
        assert client.incr("counter") == 1
    finish.join()


async def test_a_single_connection_follows_a_switch_with_asyncio(pair: Group) -> None:
    async with connected(pair) as redis, redis.client() as client:
        assert await client.incr("counter") == 1
        await asyncio.to_thread(pair.switch)
        assert await client.incr("counter") == 2
    assert pair["b"].client().get("counter") == "2"


async def test_a_single_connection_is_opened_as_soon_as_there_is_a_master_with_asyncio(pair: Group) -> None:
    await asyncio.to_thread(pair.fence)
    finish = threading.Timer(0.1, pair.complete)
    finish.start()
    async with connected(pair) as redis, redis.client() as client:
        assert await client.incr("counter") == 1
    await asyncio.to_thread(finish.join)
