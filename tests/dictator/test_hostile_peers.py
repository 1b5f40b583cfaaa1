"""Attacks by what listens at an instance's address: that instance is unreachable, and nobody else is held up."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dictator.apply import Dictator
from dictator.connection import Access
from dictator.instance import Instance
from dictator.link import NoAnswer
from dictator.redis_link import LIMIT, RedisLink
from dictator.runtime import RedisRuntime
from dictator.settings import Settings
from safe_redis.errors import Unavailable
from safe_redis.topology import Address, Topology
from sandbox.redis import RedisServer
from tests.dictator.group import Group, fill
from tests.dictator.peers import (
    LIKE_REDIS,
    Behaviour,
    Peer,
    acts_as_redis,
    bulk,
    drips,
    floods,
    greets,
    hangs_up,
    info,
    is_silent,
    says,
)
from tests.dictator.service import Service

# what a port says that is not redis's; none of it may be passed on
SECRET = "the-word-of-a-foreign-port"
# more than the limit of a reply and what the kernel holds for both sides
TAKEN = 24 << 20
ASKED = (("INFO", "server"), ("INFO", "replication"), ("GET", "key"))


def echoes(peer: Peer, connection: socket.socket) -> None:
    while data := peer.read(connection):
        peer.send(connection, data)


STALLS: dict[str, Behaviour] = {
    "silence": is_silent,
    "a dripping string": drips(b"$100000\r\n", b"x"),
    "a dripping array": drips(b"*100000\r\n", b":1\r\n"),
    "a dripping line": drips(b"+", b"x"),
    "half a reply": says(b"$1000\r\nhalf"),
}
FLOODS: dict[str, Behaviour] = {
    "an endless string": floods(b"$1000000\r\n", b"x"),
    "an endless string of an absurd length": floods(b"$99999999999\r\n", b"x"),
    "an endless line": floods(b"+", b"x"),
    "an endless array": floods(b"*1000000\r\n", b":1\r\n"),
    "endless arrays in arrays": floods(b"", b"*1\r\n"),
    "endless replies": floods(b"", b"+OK\r\n"),
}
FOREIGN: dict[str, Behaviour] = {
    "HTTP": says(b"HTTP/1.1 400 Bad Request\r\nServer: " + SECRET.encode() + b"\r\n\r\n"),
    "SSH": greets(b"SSH-2.0-" + SECRET.encode() + b"\r\n"),
    "SMTP": greets(b"220 " + SECRET.encode() + b" ESMTP\r\n"),
    "POP3": greets(b"+OK " + SECRET.encode() + b"\r\n"),
    "a POP3 error": says(b"-ERR " + SECRET.encode() + b"\r\n"),
    "memcached": says(b"ERROR " + SECRET.encode() + b"\r\n"),
    "a TLS alert": says(b"\x15\x03\x01\x00\x02\x02\x46"),
    "a reset": hangs_up,
    "nothing that is UTF-8": says(b"$2\r\n\xff\xfe\r\n" * 9),
    "numbers": says(b":1\r\n" * 9),
    "arrays": says(b"*1\r\n$4\r\nrole\r\n" * 9),
    "nulls": says(b"$-1\r\n" * 9),
    "empty strings": says(b"$0\r\n\r\n" * 9),
    "too many replies": says(b"+OK\r\n" * 99),
    "an echo": echoes,
}
LIARS: dict[str, str] = {
    "no run id": info(run_id=None),
    "no role": info(role=None),
    "a third role": info(role="sentinel"),
    "no replication id": info(master_replid=None),
    "a replication id of words": info(master_replid=SECRET),
    "no offset": info(master_repl_offset=None),
    "an offset of words": info(master_repl_offset=SECRET),
    "a fork of words": info(second_repl_offset=SECRET),
    "a backlog of words": info(repl_backlog_active="1", repl_backlog_first_byte_offset=SECRET),
    "a slave of nobody": info(role="slave", slave_repl_offset="0"),
    "a slave without an offset": info(role="slave", master_host="127.0.0.1", master_port="6379"),
    "a port beyond all": info(role="slave", master_host="127.0.0.1", master_port="70000", slave_repl_offset="0"),
    "a host of words": info(role="slave", master_host=f"a {SECRET}", master_port="1", slave_repl_offset="0"),
}
LIARS_AS_PEERS = {name: acts_as_redis(LIKE_REDIS, text) for name, text in LIARS.items()}


SHORT_REPLIES = {
    name: acts_as_redis({**LIKE_REDIS, word: reply}, info())
    for name, word, reply in (
        ("CONFIG GET without a value", "CONFIG", b"*0\r\n"),
        ("CONFIG GET as a number", "CONFIG", b":1\r\n"),
        ("CONFIG GET of words", "CONFIG", b"*2\r\n" + bulk("name") + bulk(SECRET)),
        ("PUBSUB NUMSUB without a value", "PUBSUB", b"*0\r\n"),
    )
}


@pytest.fixture
def runtime() -> Iterator[Callable[..., RedisRuntime]]:
    """Makes runtimes, and closes them."""
    made: list[RedisRuntime] = []
    with ThreadPoolExecutor(4) as pool:

        def make(**options: Any) -> RedisRuntime:
            made.append(RedisRuntime(Settings(**options), pool))
            return made[-1]

        yield make
        for peer in made:
            peer.__exit__()


def place(peer: Peer | RedisServer) -> Instance:
    return Instance(peer.host, peer.host, peer.port)


def outcomes(runtime: RedisRuntime, *peers: Peer | RedisServer) -> list[Any]:
    return runtime.send_all([(place(peer), ASKED) for peer in peers])


@pytest.mark.parametrize("behaviour", STALLS.values(), ids=STALLS)
def test_a_peer_that_stalls_is_given_up_and_holds_up_nobody(
    start_redis: Callable[..., RedisServer], runtime: Callable[..., RedisRuntime], behaviour: Behaviour
) -> None:
    server = start_redis()
    with Peer(behaviour) as peer:
        # the peers never end by themselves: without a deadline for the whole reply, this would not return
        silent, (_, replication, key) = outcomes(runtime(reply_timeout=0.3), peer, server)
        assert isinstance(silent, NoAnswer)
        assert "no whole reply within 0.3 s" in str(silent)
        assert replication["role"] == "master"
        assert key is None


@pytest.mark.parametrize("behaviour", FLOODS.values(), ids=FLOODS)
def test_a_peer_that_floods_is_cut_off(
    start_redis: Callable[..., RedisServer], runtime: Callable[..., RedisRuntime], behaviour: Behaviour
) -> None:
    server = start_redis()
    with Peer(behaviour) as peer:
        # no deadline helps here: only the limit
        flooded, answered = outcomes(runtime(reply_timeout=60), peer, server)
        assert isinstance(flooded, NoAnswer)
        assert answered[1]["role"] == "master"
        assert peer.sent < TAKEN


@pytest.mark.parametrize("behaviour", (FOREIGN | LIARS_AS_PEERS).values(), ids=FOREIGN | LIARS_AS_PEERS)
def test_a_peer_that_is_no_redis_is_unreachable_and_not_quoted(
    start_redis: Callable[..., RedisServer], runtime: Callable[..., RedisRuntime], behaviour: Behaviour
) -> None:
    server = start_redis()
    with Peer(behaviour) as peer:
        refused, answered = outcomes(runtime(reply_timeout=0.5), peer, server)
        assert answered[1]["role"] == "master"
        # a POP3 error is an error of one command: nobody reads further there
        errors = [refused] if isinstance(refused, NoAnswer) else refused
        assert SECRET not in str(errors)
        assert str(place(peer)) in str(refused) or "ERR" in str(errors)


def topology(master: Peer | RedisServer, *slaves: Peer | RedisServer) -> Topology:
    first, *rest = (Address(peer.host, peer.port) for peer in (master, *slaves))
    return Topology(first, tuple(rest))


EVERYTHING = STALLS | FLOODS | FOREIGN | LIARS_AS_PEERS | SHORT_REPLIES


@pytest.mark.parametrize("behaviour", EVERYTHING.values(), ids=EVERYTHING)
def test_an_apply_leaves_out_such_a_slave_and_is_refused_with_such_a_master(
    start_redis: Callable[..., RedisServer], behaviour: Behaviour
) -> None:
    server = start_redis()
    fill(server.client())
    dictator = Dictator(Settings(reply_timeout=0.3))
    with Peer(behaviour) as peer:
        receipt = dictator.apply(topology(server, peer))
        (left_out,) = receipt.left_out
        assert str(place(peer)) in left_out
        with pytest.raises(Unavailable) as refused:
            dictator.apply(topology(peer, server))
        assert refused.value.status == 503
        state = json.dumps(dictator.state(), default=str)
        assert SECRET not in f"{receipt.json()!r} {refused.value} {state} {dictator.dry_run(topology(server, peer))}"
    assert server.client().info("replication")["role"] == "master"


def test_a_log_does_not_quote_a_foreign_port(
    start_redis: Callable[..., RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    server = start_redis()
    fill(server.client())
    dictator = Dictator(Settings(reply_timeout=0.3))
    with caplog.at_level("DEBUG"), Peer(FOREIGN["HTTP"]) as http, Peer(FOREIGN["a POP3 error"]) as pop3:
        dictator.apply(topology(server, http, pop3))
    assert "applied master" in caplog.text
    assert SECRET not in caplog.text


def test_fifty_silent_slaves_are_given_up_together(
    start_redis: Callable[..., RedisServer], runtime: Callable[..., RedisRuntime]
) -> None:
    server = start_redis()
    with Peer(is_silent) as peer:
        # the same listener under fifty addresses
        many = [Instance("peer", f"127.0.0.{number}", peer.port) for number in range(1, 51)]
        silent = runtime(reply_timeout=0.3)
        groups = [(instance, ASKED) for instance in (*many, place(server))]
        *given_up, answered = silent.send_all(groups)
        assert not isinstance(answered, NoAnswer)
        assert len([outcome for outcome in given_up if isinstance(outcome, NoAnswer)]) == 50


@settings(max_examples=150)
@given(
    st.binary(max_size=100) | st.lists(st.sampled_from([b"*1\r\n", b"$1\r\n", b"x", b"\r\n", b":1\r\n", b"+", b"-"]))
)
def test_any_bytes_are_a_reply_or_no_answer(said: bytes | list[bytes]) -> None:
    data = said if isinstance(said, bytes) else b"".join(said)

    def answer_once(peer: Peer, connection: socket.socket) -> None:
        peer.read(connection)
        peer.send(connection, data)

    with Peer(answer_once) as peer:
        link = RedisLink(place(peer), Access())
        with suppress(NoAnswer):
            assert len(link.send(("PING",), ("INFO", "replication"))) == 2
        link.close()


def test_replies_of_a_large_server_are_within_the_limit(
    start_redis: Callable[..., RedisServer], runtime: Callable[..., RedisRuntime]
) -> None:
    server = start_redis()
    fill(server.client())
    whole = server.client(decode_responses=False).execute_command("INFO", "everything")
    assert len(str(whole)) < LIMIT / 8
    (reply,) = runtime().link(place(server)).send(("INFO", "everything"))
    assert reply["role"] == "master"


@pytest.mark.parametrize("name", ["HTTP", "a dripping string", "an endless string"])
def test_the_service_answers_202_for_such_a_slave_and_503_for_such_a_master(
    group: Group, tmp_path: Path, name: str
) -> None:
    group.add("a")
    fill(group["a"])
    with Peer(EVERYTHING[name]) as peer, Service(tmp_path / "log", REPLY_TIMEOUT="0.5") as service:
        redis, other = ({"address": server.host, "port": server.port} for server in (group.servers["a"], peer))
        answer = service.put(json.dumps({"master": redis, "slaves": [other]}))
        assert answer.status == 202
        assert str(peer.port) in answer.body
        assert service.put(json.dumps({"master": other, "slaves": [redis]})).status == 503
        assert service.request("GET", "/master").status == 200
        assert SECRET not in service.log
