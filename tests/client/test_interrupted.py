"""A task that is cancelled, or a thread that is interrupted, while it asks a fenced master or waits for the answer."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from safe_redis.client import Redis
from sandbox.process import wait_until
from tests.client.conftest import Group
from tests.client.test_aio import connected, until


class Interruption(Exception):
    """As Celery raises SoftTimeLimitExceeded: from a signal's handler, wherever the main thread is."""


@pytest.fixture
def interruption() -> Iterator[type[Interruption]]:
    """What SIGUSR1 raises in the main thread."""

    def interrupt(*_: Any) -> None:
        raise Interruption

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield Interruption
    signal.signal(signal.SIGUSR1, before)


def connections(group: Group) -> int:
    """How many clients there are at a, besides the one that asks."""
    return len(group["a"].client().client_list(_type="normal")) - 1


def open_some(client: Redis) -> None:
    """Leave idle connections in the pool."""
    pool = client.connection_pool
    for connection in [pool.get_connection() for _ in range(4)]:
        pool.release(connection)


async def at_once(condition: Callable[[], bool]) -> None:
    """Return in the very turn of the loop in which it has become true."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


def test_a_thread_that_is_interrupted_while_it_asks_leaves_the_old_master_and_holds_up_nobody(
    pair: Group, interruption: type[Interruption]
) -> None:
    client = pair.connect()
    open_some(client)
    locator = client.connection_pool.locator
    pair.fence()
    done = threading.Event()

    def interrupt() -> None:
        wait_until(lambda: locator.asked is not None or done.is_set(), "it asks", interval=0.0005)
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(interruption):
        client.incr("counter")
    done.set()
    thread.join()
    assert locator.asked is None
    wait_until(lambda: connections(pair) == 0, "nobody is connected to the old master")
    pair.complete()
    assert client.incr("counter") == 1


async def test_a_task_that_is_cancelled_while_it_asks_leaves_the_old_master_and_holds_up_nobody(pair: Group) -> None:
    async with connected(pair) as client:
        pool: Any = client.connection_pool
        for connection in [await pool.get_connection() for _ in range(4)]:
            await pool.release(connection)
        await asyncio.to_thread(pair.fence)
        asking: asyncio.Future[int] = asyncio.ensure_future(client.incr("counter"))
        await at_once(lambda: pool.locator.asked is not None)
        while not asking.done():  # again, since redis-py's sending forgets it with Python 3.11
            asking.cancel()
            await asyncio.sleep(0)
        assert asking.cancelled()
        assert pool.locator.asked is None
        await until(lambda: connections(pair) == 0, "nobody is connected to the old master")
        await asyncio.to_thread(pair.complete)
        assert await client.incr("counter") == 1


async def test_a_task_that_is_cancelled_as_another_has_just_asked_executes_nothing(pair: Group) -> None:
    async with connected(pair) as client:
        assert await client.incr("counter") == 1
        pool = client.connection_pool
        await pool.disconnect()
        asked = asyncio.Event()
        with pool.locator.turn(asked):
            connecting: asyncio.Future[int] = asyncio.ensure_future(client.incr("counter"))
            await at_once(lambda: bool(asked._waiters))
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
    assert pair["a"].client().get("counter") == "1"
