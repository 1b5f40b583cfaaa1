"""SCAN and its kind amid a switch: no element that is there all the time is missed without a word."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from safe_redis.client import Redis, ScanInterrupted
from tests.client.conftest import Group
from tests.client.test_aio import connected

ELEMENTS = {f"element:{number}" for number in range(2000)}
ITERATORS: dict[str, Callable[[Any], Any]] = {
    "scan": lambda client: client.scan_iter(match="element:*", count=50),
    "sscan": lambda client: client.sscan_iter("set", count=50),
    "hscan": lambda client: client.hscan_iter("hash", count=50),
    "zscan": lambda client: client.zscan_iter("sorted", count=50),
}


def fill(group: Group) -> None:
    """Each kind of collection, at the master."""
    master = group["a"].client()
    values: dict[Any, Any] = dict.fromkeys(ELEMENTS, 1)
    master.mset(values)
    master.sadd("set", *ELEMENTS)
    master.hset("hash", mapping=values)
    master.zadd("sorted", values)


def names(elements: Any) -> set[str]:
    """Without the values of a hash, or the scores."""
    return {element if isinstance(element, str) else element[0] for element in elements}


def move(group: Group, client: Redis) -> None:
    """Switch, and let the client find out."""
    group.switch()
    client.incr("counter")


@pytest.mark.parametrize("kind", ITERATORS)
def test_an_iterator_that_a_switch_comes_between_misses_nothing(pair: Group, kind: str) -> None:
    fill(pair)
    client = pair.connect()
    elements: Iterator[Any] = iter(ITERATORS[kind](client))
    seen = [next(elements) for _ in range(100)]
    move(pair, client)
    assert names([*seen, *elements]) == ELEMENTS


@pytest.mark.parametrize("kind", ITERATORS)
async def test_an_iterator_that_a_switch_comes_between_misses_nothing_with_asyncio(pair: Group, kind: str) -> None:
    fill(pair)
    async with connected(pair) as client:
        elements = ITERATORS[kind](client)
        seen = [await anext(elements) for _ in range(100)]
        pair.switch()
        await client.incr("counter")
        assert names([*seen, *[element async for element in elements]]) == ELEMENTS


def test_a_cursor_of_the_old_master_is_refused_at_the_new_one(pair: Group) -> None:
    fill(pair)
    client = pair.connect()
    cursor, _ = client.scan(count=50)
    move(pair, client)
    with pytest.raises(
        ScanInterrupted, match=f"from {pair['a'].address}, .* at {pair['b'].address}; begin again with 0"
    ):
        client.scan(cursor, count=50)
    assert client.scan(0, count=50)[0]


async def test_a_cursor_of_the_old_master_is_refused_at_the_new_one_with_asyncio(pair: Group) -> None:
    fill(pair)
    async with connected(pair) as client:
        cursor, _ = await client.scan(count=50)
        pair.switch()
        await client.incr("counter")
        with pytest.raises(ScanInterrupted, match=f"from {pair['a'].address}"):
            await client.scan(cursor, count=50)
        assert (await client.scan(0, count=50))[0]


def test_a_scan_to_the_end_is_what_redis_py_makes_of_it(pair: Group) -> None:
    fill(pair)
    client = pair.connect()
    cursor, seen = 0, set()
    while True:
        cursor, keys = client.scan(cursor, match="element:*", count=500)
        seen |= set(keys)
        if cursor == 0:
            break
    assert seen == ELEMENTS


def test_a_callback_of_the_callers_own_gets_what_it_makes(pair: Group) -> None:
    client = pair.connect()
    client.set_response_callback("SCAN", lambda reply, **_: reply[0])
    assert client.execute_command("SCAN", 0) == "0"
