"""The failure catalogue: instances with which no switch can keep its promise are refused, named, and left alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from safe_redis.errors import Refused, Unavailable
from sandbox.process import free_port, wait_until
from tests.dictator.group import PATIENCE, Group
from tests.dictator.sweep import FLAVOURS


@contextmanager
def untouched(group: Group) -> Iterator[None]:
    """Asserts that nothing has changed, neither at the instances nor for writers."""
    before = group.state()
    yield
    assert group.state() == before
    # a key that there is already: a new one would reach the slaves while somebody counts theirs
    assert group["a"].set("key:0", "still writable")


def test_refuses_the_same_instance_under_two_names(trio: Group) -> None:
    twin = trio.servers["c"]
    trio.servers["twin"] = twin
    trio.proxy("twin")
    for master, others in (("a", ("b", "c", "twin")), ("c", ("a", "twin")), ("twin", ("c",))):
        with untouched(trio), pytest.raises(Refused, match="are one and the same instance") as refused:
            trio.apply(master, *others)
        assert f"127.0.0.1:{twin.port} " in f"{refused.value} "
        assert f"127.0.0.1:{trio.proxies['twin'].port} " in f"{refused.value} "


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_refuses_an_instance_that_takes_writes_as_a_slave(trio: Group, name: str) -> None:
    trio[name].config_set("replica-read-only", "no")
    with untouched(trio), pytest.raises(Refused, match=rf":{trio.servers[name].port} .*replica-read-only no"):
        trio.apply("b", "a", "c")
    with pytest.raises(Refused), untouched(trio):
        trio.apply("b", "a", "c", force=True)
    trio[name].config_set("replica-read-only", "yes")
    trio.apply("b", "a", "c")
    trio.is_led_by("b", "a", "c")


def test_refuses_while_a_sentinel_watches(trio: Group) -> None:
    with trio["a"].pubsub() as sentinel:
        sentinel.subscribe("__sentinel__:hello")
        wait_until(lambda: trio["a"].pubsub_numsub("__sentinel__:hello")[0][1] == 1, "it listens", PATIENCE)
        with untouched(trio), pytest.raises(Refused, match=rf"1 Sentinel.* watch .*:{trio.servers['a'].port}"):
            trio.apply("b", "a", "c")


def test_logs_what_a_refusal_was_concluded_from_but_not_what_was_seen_where_nothing_changes(
    trio: Group, caplog: pytest.LogCaptureFixture
) -> None:
    seen = [f"observed 127.0.0.1:{trio.servers[name].port}" for name in "abc"]
    with caplog.at_level("INFO"):
        trio.apply("b", "a", "c")
        assert [caplog.text.count(line) for line in seen] == [1, 1, 1]
        caplog.clear()
        trio.apply("b", "a", "c")
        assert not any(line in caplog.text for line in seen)
        trio["a"].config_set("replica-read-only", "no")
        with pytest.raises(Refused):
            trio.apply("b", "a", "c")
    assert [caplog.text.count(line) for line in seen] == [1, 1, 1]


def test_refuses_an_instance_in_cluster_mode(trio: Group) -> None:
    # by default it is the port plus 10,000, which may be in use
    trio.add("d", config={"cluster-enabled": "yes", "cluster-port": str(free_port())})
    with untouched(trio), pytest.raises(Refused, match=rf":{trio.servers['d'].port} runs in cluster mode"):
        trio.apply("b", "a", "c", "d")


def states(replication: dict[str, Any]) -> set[tuple[int, str]]:
    """Of a master's slaves: the port of each, and its state as the master sees it."""
    slaves = (replication[f"slave{number}"] for number in range(replication["connected_slaves"]))
    return {(slave["port"], slave["state"]) for slave in slaves}


def test_refuses_while_a_failover_is_under_way(trio: Group) -> None:
    port = trio.servers["b"].port
    wait_until(lambda: (port, "online") in states(trio.replication("a")), "b is online to its master", PATIENCE)
    trio.servers["b"].pause()
    trio["a"].execute_command("FAILOVER", "TO", "127.0.0.1", port)
    with pytest.raises(Unavailable, match="FAILOVER"):
        trio.apply("c", "a")
    trio["a"].execute_command("FAILOVER", "ABORT")
    trio.servers["b"].resume()
    trio.apply("c", "a", "b")
    trio.is_led_by("c", "a", "b")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_waits_for_a_master_that_is_loading_and_leaves_out_a_slave_that_is(group: Group, flavour: str) -> None:
    group.add("a", "b", "c", flavour=flavour)
    for number in range(200):  # so large that it looks after clients once a second while it loads
        group["a"].set(f"large:{number}", os.urandom(100_000))
    group.follow("a", "b", "c")
    group["b"].save()
    group.servers["b"].kill()
    with (group.servers["b"].directory / "redis.conf").open("a") as config:
        config.write("key-load-delay 50000\n")
    group.servers["b"].start(wait=False)
    wait_until(lambda: _loading(group), "b is loading", PATIENCE)
    with pytest.raises(Unavailable, match=rf":{group.servers['b'].port} is loading"):
        group.apply("b", "a", "c", reply_timeout=5.0)
    group.is_led_by("a", "c")
    receipt = group.apply("c", "a", "b", reply_timeout=5.0)
    assert "is loading its data" in receipt.open
    group.is_led_by("c", "a")


def _loading(group: Group) -> bool:
    try:
        return bool(group["b"].info("persistence")["loading"])
    except redis.ConnectionError:
        return False
