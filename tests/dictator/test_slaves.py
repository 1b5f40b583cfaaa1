"""The failure catalogue: slaves that are dead, mute, or can't follow. None of them may hold the others up."""

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from dictator.apply import Dictator
from dictator.settings import Settings
from safe_redis.topology import Address, Topology
from sandbox.process import free_port
from tests.dictator.group import Group, fill
from tests.dictator.sweep import FLAVOURS

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

QUICK: dict[str, Any] = {"connect_timeout": 0.5, "reply_timeout": 0.5, "resolve_timeout": 0.5, "follow_timeout": 20}


def test_leaves_out_a_dead_slave_names_it_and_takes_it_back(trio: Group) -> None:
    trio.servers["c"].kill()
    receipt = trio.apply("b", "a", "c")
    assert len(receipt.left_out) == 1
    assert f"127.0.0.1:{trio.servers['c'].port}" in receipt.open
    trio.is_led_by("b", "a")
    trio.servers["c"].start()
    assert trio.apply("b", "a", "c", follow_timeout=20).open == ""
    trio.is_led_by("b", "a", "c")


def test_leaves_out_a_slave_that_does_not_resolve(trio: Group) -> None:
    listed = trio.topology("b", "a", "c")
    topology = Topology(listed.master, (*listed.slaves, Address("core-09.redis-1.docker")))
    settings = Settings(nameservers=("127.0.0.1",), nameservers_port=free_port(), **QUICK)
    receipt = Dictator(settings).apply(topology)
    assert "core-09.redis-1.docker" in receipt.open
    trio.is_led_by("b", "a", "c")


def test_leaves_out_a_slave_that_stands_still_and_takes_it_back(trio: Group) -> None:
    trio.servers["c"].pause()
    started = time.monotonic()
    receipt = trio.apply("b", "a", "c", **QUICK)
    assert time.monotonic() - started < 15, "the deadlines for one mute slave, on a busy machine"
    assert f"127.0.0.1:{trio.servers['c'].port}" in receipt.open
    trio.is_led_by("b", "a")
    trio.servers["c"].resume()
    assert trio.apply("b", "a", "c", **QUICK).open == ""
    trio.is_led_by("b", "a", "c")


def test_leaves_out_an_address_that_takes_connections_and_says_nothing(trio: Group) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        listed = trio.topology("b", "a", "c")
        topology = Topology(listed.master, (*listed.slaves, Address("127.0.0.1", mute.getsockname()[1])))
        receipt = Dictator(Settings(**QUICK)).apply(topology)
    assert f"127.0.0.1:{topology.slaves[-1].port}" in receipt.open
    trio.is_led_by("b", "a", "c")


def test_names_a_slave_that_cannot_reach_the_master_after_doing_the_others(group: Group) -> None:
    password = {"requirepass": "secret"}
    group.password = "secret"
    group.add("a", "b", "c", config=password | {"masterauth": "secret"})
    group.add("d", config=password | {"masterauth": "wrong"})
    fill(group["a"])
    group.follow("a", "b", "c")
    for master, others in (("b", "dac"), ("a", "dbc")):
        receipt = group.apply(master, *others, redis_password="secret", follow_timeout=1.0)
        assert len(receipt.syncing) == 1
        assert f"127.0.0.1:{group.servers['d'].port} is not linked" in receipt.open
        group.is_led_by(master, *others[1:])


def test_an_answer_does_not_wait_for_a_full_resync(trio: Group) -> None:
    trio.add("d")
    trio["a"].config_set("rdb-key-save-delay", 20_000)
    trio["b"].config_set("rdb-key-save-delay", 20_000)
    receipt = trio.apply("b", "a", "c", "d", follow_timeout=0.3)
    assert f"127.0.0.1:{trio.servers['d'].port} is" in receipt.open
    trio["b"].config_set("rdb-key-save-delay", 0)
    trio.is_led_by("b", "a", "c")


@pytest.mark.parametrize(
    "spoil", [lambda server: server.kill(), lambda server: server.pause()], ids=["dead", "stopped"]
)
def test_heals_a_slave_that_misses_two_switches(trio: Group, spoil: Callable[..., None]) -> None:
    spoil(trio.servers["c"])
    for master, other in (("b", "a"), ("a", "b")):
        assert trio.apply(master, other, "c", **QUICK).open
        trio.is_led_by(master, other)
    if trio.servers["c"].running:
        trio.servers["c"].resume()
    else:
        trio.servers["c"].start()
    assert trio.apply("a", "b", "c", **QUICK).open == ""
    trio.is_led_by("a", "b", "c")


@pytest.mark.parametrize("disconnects", [False, True])
def test_ends_the_connections_left_at_the_old_master_only_where_it_is_asked_to(trio: Group, disconnects: bool) -> None:  # noqa: FBT001
    reader = trio["a"].client()
    number = reader.client_id()
    try:
        trio.apply("b", "a", "c", disconnect_clients=disconnects)
        connected = {int(client["id"]) for client in trio["a"].client_list()}
        assert (number in connected) is not disconnects
    finally:
        reader.close()
    trio.is_led_by("b", "a", "c")
