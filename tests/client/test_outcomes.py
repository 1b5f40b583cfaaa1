"""What was executed is never sent again, and the caller learns exactly what nobody can know."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from safe_redis.client import NoMaster, OutcomeUnknown, Redis
from safe_redis.client.commands import READS, SUBCOMMANDS, blocks, only_reads, shortened
from sandbox.process import wait_until
from tests.client.conftest import Group
from tests.client.relay import Relay, relaying
from tests.conftest import StartRedis


@pytest.fixture
def relay(pair: Group) -> Iterator[Relay]:
    """DNS names a relay in front of a."""
    with relaying(pair["a"]) as relay:
        pair.publish("a", relay.port)
        yield relay


@pytest.fixture
def client(pair: Group, relay: Relay) -> Redis:
    """A client whose connections go through the relay."""
    client = pair.connect(patience=5)
    client.ping()
    return client


def test_a_write_that_was_executed_and_not_answered_is_unknown(pair: Group, relay: Relay, client: Redis) -> None:
    relay.at = b"INCR"
    with pytest.raises(OutcomeUnknown, match=r"INCRBY: sent to 127\.0\.0\.1:\d+ and not answered"):
        client.incr("counter")
    assert pair["a"].client().get("counter") == "1"
    assert client.incr("counter") == 2


def test_a_write_that_was_sent_and_got_lost_is_unknown_too(pair: Group, relay: Relay, client: Redis) -> None:
    relay.at, relay.lose = b"INCR", "request"
    with pytest.raises(OutcomeUnknown):
        client.incr("counter")
    assert pair["a"].client().get("counter") is None
    assert client.incr("counter") == 1


def test_unknown_outcomes_are_no_connection_errors_as_those_are_often_tried_again() -> None:
    assert issubclass(OutcomeUnknown, redis.RedisError)
    assert not issubclass(OutcomeUnknown, redis.ConnectionError | redis.TimeoutError)


def test_a_read_that_was_not_answered_is_sent_again(relay: Relay, client: Redis) -> None:
    client.set("key", "value")
    relay.at = b"GET"
    assert client.get("key") == "value"
    assert relay.at == b""


def test_a_write_that_the_caller_marks_idempotent_is_sent_again(pair: Group, relay: Relay, client: Redis) -> None:
    relay.at = b"INCR"
    assert client.idempotent.incr("counter") == 2  # it was a lie: the first one was executed
    relay.at = b"INCR"
    with pytest.raises(OutcomeUnknown):
        client.incr("counter")


def test_a_stopped_master_leaves_a_write_unknown_after_the_timeout(pair: Group) -> None:
    client = pair.connect(socket_timeout=1, socket_connect_timeout=1, patience=20)
    client.incr("counter")
    wait_until(lambda: pair["b"].client().get("counter") == "1", "b has it")
    pair["a"].pause()
    with pytest.raises(OutcomeUnknown, match="Timeout reading"):
        client.incr("counter")
    pair["b"].client().replicaof("NO", "ONE")
    pair.publish("b")
    assert client.incr("counter") == 2
    pair["a"].resume()


def test_a_killed_master_leaves_a_waiting_write_unknown(pair: Group) -> None:
    client = pair.connect(patience=0.2)
    client.incr("counter")
    pair["a"].client().client_pause(60_000)
    killed = threading.Timer(0.3, pair["a"].kill)
    killed.start()
    with pytest.raises(OutcomeUnknown):
        client.incr("counter")
    killed.join()
    with pytest.raises(NoMaster):  # now it can't be connected to, and nothing is sent
        client.incr("counter")


def test_an_idle_connection_that_the_server_has_closed_costs_no_error(pair: Group) -> None:
    client = pair.connect()
    client.incr("counter")
    server = pair["a"].client()
    server.client_kill_filter(_type="normal", skipme=True)
    assert client.incr("counter") == 2


def test_a_pipeline_is_sent_again_from_the_first_refused_command_on(pair: Group) -> None:
    client = pair.connect()
    client.ping()
    pipe: Any = client.pipeline(transaction=False)
    for number in range(5):
        pipe.rpush("list", number)
        pipe.llen("list")
    pair.switch()
    assert pipe.execute() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert pair["b"].client().lrange("list", 0, -1) == ["0", "1", "2", "3", "4"]


def test_a_pipeline_is_not_sent_again_when_a_later_command_was_executed(pair: Group) -> None:
    client = pair.connect()
    client.ping()
    pair.switch()
    pipe: Any = client.pipeline(transaction=False)
    pipe.incr("counter").publish("channel", "a slave executes this").incr("counter")
    replies = pipe.execute(raise_on_error=False)
    assert [type(reply) for reply in replies] == [redis.ReadOnlyError, int, redis.ReadOnlyError]
    assert pair["b"].client().get("counter") is None
    pipe.incr("counter").publish("channel", "again").incr("counter")
    assert pipe.execute() == [1, 0, 2]  # the connection was left


def test_a_pipeline_that_breaks_says_what_was_answered(pair: Group, relay: Relay, client: Redis) -> None:
    relay.at, relay.keep = b"RPUSH", len(":1\r\n:2\r\n")
    pipe: Any = client.pipeline(transaction=False)
    pipe.rpush("list", 1).rpush("list", 2).rpush("list", 3)
    with pytest.raises(OutcomeUnknown, match="pipeline of 3: 2 answered") as caught:
        pipe.execute()
    assert caught.value.replies == (1, 2)
    assert pair["a"].client().llen("list") == 3


def test_a_pipeline_whose_open_rest_only_reads_is_completed(pair: Group, relay: Relay, client: Redis) -> None:
    relay.at, relay.keep = b"RPUSH", len(":1\r\n")
    pipe: Any = client.pipeline(transaction=False)
    pipe.rpush("list", 1).llen("list").lrange("list", 0, -1)
    assert pipe.execute() == [1, 1, ["1"]]
    assert pair["a"].client().llen("list") == 1


def test_errors_in_a_pipeline_keep_their_places(pair: Group) -> None:
    client = pair.connect()
    client.set("key", "no number")
    pipe: Any = client.pipeline(transaction=False)
    replies = pipe.incr("counter").incr("key").incr("counter").execute(raise_on_error=False)
    assert replies[0] == 1
    assert isinstance(replies[1], redis.ResponseError)
    assert replies[2] == 2
    with pytest.raises(redis.ResponseError, match="Command # 2"):
        pipe.incr("counter").incr("key").execute()


@pytest.mark.parametrize("flavour", ["redis-7.0", "valkey-8.0"])
def test_a_refused_transaction_is_sent_again_as_one(group: Group, flavour: str) -> None:
    group.add("a", "b", flavour=flavour)
    group.publish("a")
    client = group.connect()
    client.ping()
    group.switch()
    pipe: Any = client.pipeline()
    pipe.incr("counter").rpush("list", "x").incr("counter")
    assert pipe.execute() == [1, 1, 2]
    assert group["b"].client().get("counter") == "2"


def test_a_transaction_without_an_answer_is_unknown(pair: Group, relay: Relay, client: Redis) -> None:
    relay.at = b"EXEC"
    pipe: Any = client.pipeline()
    pipe.incr("counter")
    with pytest.raises(OutcomeUnknown):
        pipe.execute()
    assert pair["a"].client().get("counter") == "1"


def test_a_switch_after_watch_raises_watch_error(pair: Group) -> None:
    client = pair.connect()
    client.set("key", 1)
    pipe: Any
    with client.pipeline() as pipe:
        pipe.watch("key")
        value = int(pipe.get("key"))
        pair.switch()
        pipe.multi()
        pipe.set("key", value + 1)
        with pytest.raises(redis.WatchError):
            pipe.execute()


def test_a_transaction_helper_starts_again_when_the_master_moves_under_it(pair: Group) -> None:
    client = pair.connect()
    client.set("key", 1)
    values: list[int] = []

    def double(pipe: Any) -> None:
        values.append(int(pipe.get("key")))
        if len(values) == 1:
            pair.switch()
        pipe.multi()
        pipe.set("key", values[-1] * 2)

    assert client.transaction(double, "key") == [True]
    assert values == [1, 1]
    assert pair["b"].client().get("key") == "2"


def test_a_transaction_after_watch_that_was_executed_and_not_answered_is_unknown_and_no_watch_error(
    pair: Group, relay: Relay, client: Redis
) -> None:
    """redis-py alone raises WatchError here, and its transaction() would execute it twice."""
    pipe: Any
    with client.pipeline() as pipe:
        pipe.watch("counter")
        pipe.multi()
        pipe.incr("counter")
        relay.at = b"EXEC"
        with pytest.raises(OutcomeUnknown):
            pipe.execute()
    assert pair["a"].client().get("counter") == "1"
    assert client.incr("counter") == 2


def test_a_script_that_the_new_master_does_not_know_is_loaded_again(pair: Group) -> None:
    client = pair.connect()
    script = client.register_script("return redis.call('INCR', KEYS[1])")
    digest = client.script_load("return redis.call('INCRBY', KEYS[1], 10)")
    assert script(keys=["counter"]) == 1
    pair.switch()
    pair["b"].client().script_flush()
    assert script(keys=["counter"]) == 2
    pair["b"].client().script_flush()
    assert client.evalsha(digest, 1, "counter") == 12
    with pytest.raises(redis.exceptions.NoScriptError):
        client.evalsha("0" * 40, 0)


def test_a_script_in_a_pipeline_is_loaded_at_the_new_master(pair: Group) -> None:
    client = pair.connect()
    script = client.register_script("return redis.call('INCR', KEYS[1])")
    script(keys=["counter"])
    pair.switch()
    pair["b"].client().script_flush()
    pipe: Any = client.pipeline(transaction=False)
    script(keys=["counter"], client=pipe)
    script(keys=["counter"], client=pipe)
    assert pipe.execute() == [2, 3]


@pytest.mark.parametrize("timeout", [0, 20])
def test_a_blocking_pop_goes_on_at_the_new_master(pair: Group, timeout: int) -> None:
    client = pair.connect(socket_timeout=2)
    popped: list[object] = []
    thread = threading.Thread(target=lambda: popped.append(client.blpop("list", timeout)))
    thread.start()
    wait_until(lambda: pair["a"].client().info("clients")["blocked_clients"] == 1, "it waits at a")
    pair.switch()
    wait_until(lambda: pair["b"].client().info("clients")["blocked_clients"] == 1, "it waits at b")
    pair["b"].client().rpush("list", "value")
    thread.join(10)
    assert popped == [("list", "value")]


def test_a_blocking_pop_waits_longer_than_the_socket_timeout(pair: Group) -> None:
    assert pair.connect(socket_timeout=0.2).blpop("list", 0.5) is None


def test_a_subscriber_subscribes_again_at_the_new_master(pair: Group) -> None:
    client = pair.connect()
    with client.pubsub(ignore_subscribe_messages=True) as news:
        news.subscribe("channel")
        news.psubscribe("pattern*")
        wait_until(lambda: client.pubsub_numsub("channel") == [("channel", 1)], "it listens")
        pair.switch()
        pair.publish("b")
        pair["a"].kill()
        server = pair["b"].client()
        wait_until(
            lambda: news.get_message() is None and server.pubsub_numsub("channel") == [("channel", 1)],
            "it listens at the new master",
        )
        client.publish("channel", "first")
        client.publish("pattern-1", "second")
        received: list[str] = []

        def both() -> bool:
            message = news.get_message()
            received.extend([message["data"]] if message else [])
            return received == ["first", "second"]

        wait_until(both, "both messages came")


def test_a_subscriber_gives_up_after_its_patience(pair: Group) -> None:
    client = pair.connect(patience=0.2)
    with client.pubsub() as news:
        news.subscribe("channel")
        pair["a"].kill()
        pair["b"].kill()
        with pytest.raises(NoMaster):
            list(news.listen())


def test_commands_that_only_read_are_read_only_to_the_server_too(start_redis: StartRedis) -> None:
    known = start_redis().client().command()
    harmless = {"echo", "info", "lastsave", "ping", "role", "time"}
    for name in READS:
        if name.lower() in known:
            assert "readonly" in known[name.lower()]["flags"] or name.lower() in harmless, name


def test_commands_are_told_apart_by_their_names_in_any_spelling() -> None:
    assert only_reads(["get", "key"])
    assert only_reads([b"OBJECT", b"encoding", "key"])
    assert only_reads(["CONFIG GET", "*"])
    assert not only_reads(["CONFIG", "SET", "a", "b"])
    assert not only_reads(["GETDEL", "key"])
    assert ("SCRIPT", "LOAD") in SUBCOMMANDS


def test_a_blocking_command_is_shortened_by_the_time_it_has_waited() -> None:
    assert shortened(["BLPOP", "a", "b", 5], 2) == ("BLPOP", "a", "b", 3)
    assert shortened(["BLPOP", "a", 0], 2) == ("BLPOP", "a", 0)
    assert shortened(["BLMPOP", 5, 1, "a", "LEFT"], 9) == ("BLMPOP", 0.001, 1, "a", "LEFT")
    assert shortened(["XREAD", b"BLOCK", 5000, "STREAMS", "BLOCK", "$"], 2)[2] == 3000
    assert blocks(["XREAD", "STREAMS", "BLOCK", "$"]) is None
    assert blocks(["SET", "BLPOP", 5]) is None


def test_needs_redis_and_dnspython_only() -> None:
    hide = (
        "import sys; sys.modules |= dict.fromkeys(['msgspec', 'pythonjsonlogger', 'flask', 'tqdm', 'etcd', 'urllib3'])"
    )
    subprocess.run([sys.executable, "-c", f"{hide}; import safe_redis.client"], check=True, timeout=60)
