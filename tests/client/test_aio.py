"""The asyncio client: the same promises as the blocking one's, row by row."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis

from safe_redis.client import NoMaster, OutcomeUnknown, aio
from sandbox.process import wait_until
from tests.client.conftest import SERVICE, SLAVES, Group
from tests.client.relay import relaying


@contextlib.asynccontextmanager
async def connected(group: Group, **options: Any) -> AsyncIterator[aio.Redis]:
    """A client of the master."""
    client = aio.connect(SERVICE, **{"decode_responses": True, **group.nameserver(), **options})
    try:
        yield client
    finally:
        await client.aclose()


async def until(condition: Callable[[], bool], what: str) -> None:
    """Poll without holding up the client's tasks."""
    await asyncio.to_thread(wait_until, condition, what)


async def test_gives_an_asyncio_client_that_follows_before_dns_names_the_new_master(pair: Group) -> None:
    async with connected(pair) as client:
        assert isinstance(client, redis.asyncio.Redis)
        assert await client.incr("counter") == 1
        await asyncio.to_thread(pair.switch)
        assert await client.incr("counter") == 2
    assert pair["b"].client().get("counter") == "2"


async def test_waits_at_a_fenced_master_and_gives_up_after_its_patience(pair: Group) -> None:
    async with connected(pair) as client, connected(pair, patience=0.2) as impatient:
        await client.incr("counter")
        await asyncio.to_thread(pair.fence)
        with pytest.raises(NoMaster, match="no master at"):
            await impatient.incr("counter")
        finish = threading.Timer(0.2, pair.complete)
        finish.start()
        assert await client.incr("counter") == 2
        finish.join()


async def test_uses_the_last_known_address_while_no_name_server_answers(pair: Group) -> None:
    async with connected(pair) as client:
        await client.incr("counter")
        pair.dns.kill()
        await client.connection_pool.disconnect()
        assert await client.incr("counter") == 2


async def test_a_write_that_was_not_answered_is_unknown_and_a_read_is_sent_again(pair: Group) -> None:
    with relaying(pair["a"]) as relay:
        pair.publish("a", relay.port)
        async with connected(pair) as client:
            await client.set("key", "value")
            relay.at = b"INCR"
            with pytest.raises(OutcomeUnknown, match="INCRBY: sent to"):
                await client.incr("counter")
            relay.at = b"GET"
            assert await client.get("key") == "value"
            relay.at = b"INCR"
            assert await client.idempotent.incr("counter") == 3
    assert pair["a"].client().get("counter") == "3"


async def test_a_killed_master_leaves_a_waiting_write_unknown(pair: Group) -> None:
    async with connected(pair, patience=0.2) as client:
        await client.incr("counter")
        pair["a"].client().client_pause(60_000)
        writing: asyncio.Future[int] = asyncio.ensure_future(client.incr("counter"))
        await asyncio.sleep(0.2)  # sent or not, it isn't executed
        pair["a"].kill()
        with pytest.raises(OutcomeUnknown):
            await writing
        with pytest.raises(NoMaster):
            await client.incr("counter")


async def test_a_pipeline_is_sent_again_from_the_first_refused_command_on(pair: Group) -> None:
    async with connected(pair) as client:
        await client.ping()
        pipe: Any = client.pipeline(transaction=False)
        for number in range(3):
            pipe.rpush("list", number).llen("list")
        await asyncio.to_thread(pair.switch)
        assert await pipe.execute() == [1, 1, 2, 2, 3, 3]


async def test_a_pipeline_that_breaks_says_what_was_answered(pair: Group) -> None:
    with relaying(pair["a"]) as relay:
        pair.publish("a", relay.port)
        async with connected(pair) as client:
            await client.ping()
            relay.at, relay.keep = b"RPUSH", len(":1\r\n:2\r\n")
            pipe: Any = client.pipeline(transaction=False)
            pipe.rpush("list", 1).rpush("list", 2).rpush("list", 3)
            with pytest.raises(OutcomeUnknown, match="pipeline of 3: 2 answered") as caught:
                await pipe.execute()
    assert caught.value.replies == (1, 2)


@pytest.mark.parametrize("flavour", ["redis-7.0", "valkey-8.0"])
async def test_a_refused_transaction_is_sent_again_as_one(group: Group, flavour: str) -> None:
    await asyncio.to_thread(group.add, "a", "b", flavour=flavour)
    group.publish("a")
    async with connected(group) as client:
        await client.ping()
        await asyncio.to_thread(group.switch)
        pipe: Any = client.pipeline()
        pipe.incr("counter").rpush("list", "x").incr("counter")
        assert await pipe.execute() == [1, 1, 2]


async def test_a_switch_after_watch_raises_watch_error(pair: Group) -> None:
    async with connected(pair) as client:
        pipe: Any
        async with client.pipeline() as pipe:
            await pipe.watch("key")
            await pipe.get("key")
            await asyncio.to_thread(pair.switch)
            pipe.multi()
            pipe.set("key", 1)
            with pytest.raises(redis.WatchError):
                await pipe.execute()
        assert await client.set("key", 2)


async def test_a_transaction_after_watch_that_was_executed_and_not_answered_is_unknown(pair: Group) -> None:
    with relaying(pair["a"]) as relay:
        pair.publish("a", relay.port)
        async with connected(pair) as client:
            pipe: Any
            async with client.pipeline() as pipe:
                await pipe.watch("counter")
                pipe.multi()
                pipe.incr("counter")
                relay.at = b"EXEC"
                with pytest.raises(OutcomeUnknown):
                    await pipe.execute()
    assert pair["a"].client().get("counter") == "1"


async def test_a_script_that_the_new_master_does_not_know_is_loaded_again(pair: Group) -> None:
    async with connected(pair) as client:
        script = client.register_script("return redis.call('INCR', KEYS[1])")
        digest = await client.script_load("return redis.call('INCRBY', KEYS[1], 10)")
        assert await script(keys=["counter"]) == 1
        await asyncio.to_thread(pair.switch)
        pair["b"].client().script_flush()
        assert await script(keys=["counter"]) == 2
        pair["b"].client().script_flush()
        assert await client.evalsha(digest, 1, "counter") == 12


@pytest.mark.parametrize("seconds", [0, 20])
async def test_a_blocking_pop_goes_on_at_the_new_master(pair: Group, seconds: int) -> None:
    async with connected(pair, socket_timeout=2) as client:
        popping: asyncio.Future[Any] = asyncio.ensure_future(client.blpop("list", seconds))
        await until(lambda: pair["a"].client().info("clients")["blocked_clients"] == 1, "it waits at a")
        await asyncio.to_thread(pair.switch)
        await until(lambda: pair["b"].client().info("clients")["blocked_clients"] == 1, "it waits at b")
        pair["b"].client().rpush("list", "value")
        assert await popping == ("list", "value")


async def test_a_blocking_pop_waits_longer_than_the_socket_timeout(pair: Group) -> None:
    async with connected(pair, socket_timeout=0.2) as client:
        assert await client.blpop("list", 0.5) is None


async def test_a_subscriber_subscribes_again_at_the_new_master(pair: Group) -> None:
    async with connected(pair) as client:
        news: Any
        async with client.pubsub(ignore_subscribe_messages=True) as news:
            await news.subscribe("channel")
            await until(lambda: pair["a"].client().pubsub_numsub("channel") == [("channel", 1)], "it listens")
            await asyncio.to_thread(pair.switch)
            pair.publish("b")
            pair["a"].kill()
            receiving = asyncio.create_task(anext(news.listen()))
            await until(lambda: pair["b"].client().pubsub_numsub("channel") == [("channel", 1)], "it listens again")
            await client.publish("channel", "message")
            assert (await receiving)["data"] == "message"


async def test_idle_connections_to_the_old_master_are_dropped_when_one_learns_of_the_switch(pair: Group) -> None:
    async with connected(pair) as client:
        pool: Any = client.connection_pool
        for connection in [await pool.get_connection() for _ in range(5)]:
            await pool.release(connection)
        server = pair["a"].client()
        assert len(server.client_list(_type="normal")) == 6
        await asyncio.to_thread(pair.switch)
        await client.incr("counter")
        await until(lambda: len(server.client_list(_type="normal")) == 1, "nobody is connected to the old master")


async def test_many_tasks_follow_and_each_increment_counts_once(pair: Group) -> None:
    counts = [0] * 8
    async with connected(pair) as client:

        async def count(number: int) -> None:
            while not ended.is_set():
                await client.incr("counter")
                counts[number] += 1

        ended = asyncio.Event()
        tasks = [asyncio.create_task(count(number)) for number in range(8)]
        await until(lambda: min(counts) > 5, "all count")
        await asyncio.to_thread(pair.switch)
        before = list(counts)
        await until(lambda: all(now > then for now, then in zip(counts, before, strict=True)), "all go on")
        ended.set()
        await asyncio.gather(*tasks)
    assert pair["b"].client().get("counter") == str(sum(counts))


async def test_reads_go_to_a_slave_on_request(pair: Group) -> None:
    pair["a"].client().set("key", "value")
    pair.publish_slaves("b")
    await until(lambda: pair["b"].client().get("key") == "value", "the slave has it")
    reader = aio.connect_to_slaves(SLAVES, decode_responses=True, **pair.nameserver())
    assert await reader.get("key") == "value"
    with pytest.raises(redis.ReadOnlyError):
        await reader.set("key", "another")
    await reader.aclose()
