"""The failure catalogue: what other tools, or a dictator that died, have left behind; and what must be left alone."""

import json
import threading
from pathlib import Path

import pytest
import redis

from dictator.lineage import KEY
from safe_redis.errors import LostHolder, Refused, Unavailable
from tests.dictator.group import Group, fill
from tests.dictator.harness import PERSISTENT
from tests.dictator.sweep import FLAVOURS

MIN = "min-replicas-to-write"


def minimum(group: Group, name: str) -> int:
    return int(str(group[name].config_get(MIN)[MIN]))


def test_takes_back_the_fence_of_min_replicas_that_another_tool_left(trio: Group) -> None:
    trio["a"].config_set(MIN, 1_000_000)
    trio["c"].config_set(MIN, 1_000_002)
    with pytest.raises(redis.ResponseError, match="NOREPLICAS"):
        trio["a"].set("key", "value")
    trio.apply("a", "b", "c")
    assert (minimum(trio, "a"), minimum(trio, "c")) == (0, 2)
    trio.is_led_by("a", "b", "c")
    assert not any("100000" in line for line in config(trio, "a", "c"))


def test_takes_it_back_in_a_switch_as_well(trio: Group) -> None:
    for name in "abc":
        trio[name].config_set(MIN, 1_000_001)
    trio.apply("b", "a", "c")
    assert [minimum(trio, name) for name in "abc"] == [1, 1, 1]
    trio.is_led_by("b", "a", "c")


def config(group: Group, *names: str) -> list[str]:
    return [line for name in names for line in (group.servers[name].directory / "redis.conf").read_text().splitlines()]


def test_keeps_the_operators_own_min_replicas_through_every_switch(group: Group) -> None:
    group.add("a", "b", "c", config=PERSISTENT | {MIN: "1", "min-replicas-max-lag": "10"})
    fill_when_possible(group)
    for master, others in (("b", "ac"), ("c", "ab"), ("a", "bc")):
        group.apply(master, *others, follow_timeout=30)
        assert [minimum(group, name) for name in "abc"] == [1, 1, 1]
        group.is_led_by(master, *others)
    for name in "abc":
        group.servers[name].restart()
    assert [minimum(group, name) for name in "abc"] == [1, 1, 1]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_switches_a_master_that_wants_all_its_slaves_in_time(group: Group, flavour: str) -> None:
    """Moved under the target, as usual, they would leave the source without a slave, and so without writes."""
    group.add("a", "b", "c", flavour=flavour, config=PERSISTENT | {MIN: "2", "min-replicas-max-lag": "10"})
    fill_when_possible(group)
    for master, others in (("b", "ac"), ("c", "ab")):
        receipt = group.apply(master, *others, follow_timeout=30)
        assert (receipt.open, receipt.warnings) == ("", [])
        group.is_led_by(master, *others)
        assert json.loads(str(group[master].get(KEY)))["state"] == "served"
        assert not group.apply(master, *others).changed


def test_names_both_numbers_where_too_few_slaves_are_in_time(group: Group) -> None:
    group.add("a", "b", "c", config=PERSISTENT)
    group.apply("a", "b", "c", follow_timeout=30)
    group["a"].config_set(MIN, 3)
    before = group.state()
    with pytest.raises(Unavailable, match=rf":{group.servers['a'].port} takes no writes.*{MIN} is 3, and 2 slave"):
        group.apply("b", "a", "c", follow_timeout=0.5)
    assert group.state() == before


@pytest.mark.parametrize("flavour", ["redis-7.0", "valkey-8.0", "valkey-9.1", "redis-8.2"])
def test_switches_away_from_a_master_that_is_full(group: Group, flavour: str) -> None:
    group.add("a", "b", "c", flavour=flavour, config=PERSISTENT)
    group.apply("a", "b", "c", follow_timeout=30)
    fill(group["a"], 1000)
    group["a"].config_set("maxmemory", 1)
    with pytest.raises(redis.ResponseError, match="maxmemory"):
        group["a"].set("key", "value")
    group.apply("b", "a", "c", follow_timeout=30)
    group.is_led_by("b", "a", "c")
    assert group.keys("b") == 1001


def test_says_why_a_full_master_of_redis_6_can_not_be_switched(group: Group) -> None:
    group.add("a", "b", flavour="redis-6.2", config=PERSISTENT)
    group.apply("a", "b", follow_timeout=30)
    group["a"].config_set("maxmemory", 1)
    with pytest.raises(Refused, match=rf":{group.servers['a'].port} takes no writes.*, its maxmemory is 1"):
        group.apply("b", "a")
    group["a"].config_set("maxmemory", 0)
    group.is_led_by("a", "b")


def fill_when_possible(group: Group) -> None:
    group.apply("a", "b", "c", follow_timeout=30)
    fill(group["a"])


def park(group: Group, name: str) -> None:
    group[name].replicaof("127.0.0.1", 0)


@pytest.mark.parametrize(("master", "others"), [("a", "bc"), ("b", "ac"), ("c", "ab")])
def test_frees_a_master_that_a_dead_dictator_has_parked(trio: Group, master: str, others: str) -> None:
    park(trio, "a")
    with pytest.raises(redis.ReadOnlyError):
        trio["a"].set("key", "value")
    receipt = trio.apply(master, *others)
    assert receipt.discarded == []
    trio.is_led_by(master, *others)
    assert trio.keys(master) == 101


def test_does_not_free_a_parked_master_while_the_one_that_may_have_been_promoted_is_away(trio: Group) -> None:
    trio.follow("b", "c")
    park(trio, "a")
    trio["b"].replicaof("NO", "ONE")
    trio["b"].set("new", "write")
    trio.servers["b"].pause()
    with pytest.raises(LostHolder, match=rf"fenced by a switch .*:{trio.servers['b'].port}"):
        trio.apply("a", "b", "c", reply_timeout=0.5)
    assert trio.replication("a")["master_port"] == 0
    trio.servers["b"].resume()
    trio.apply("a", "b", "c")
    assert trio["a"].get("new") == "write"
    trio.is_led_by("a", "b", "c")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_does_not_wait_for_a_pause_that_a_dead_dictator_has_left(group: Group, flavour: str) -> None:
    group.add("a", "b", "c", flavour=flavour)
    fill(group["a"])
    group.follow("a", "b", "c")
    for name in "ab":
        group[name].execute_command("CLIENT", "PAUSE", 600_000, "WRITE")
    group.apply("b", "a", "c")
    group.is_led_by("b", "a", "c")
    group.apply("a", "b", "c")
    group.is_led_by("a", "b", "c")


def test_a_topology_that_is_in_force_already_changes_nothing(trio: Group) -> None:
    trio.apply("a", "b", "c")
    trio["a"].set("busy", "writer")
    trio.is_led_by("a", "b", "c")
    before = trio.state()
    stop = threading.Event()
    errors: list[Exception] = []
    writer = threading.Thread(target=_write, args=(trio["a"], stop, errors))
    for name in "abc":
        trio[name].config_resetstat()
    writer.start()
    for _ in range(20):
        receipt = trio.apply("a", "b", "c")
        assert (receipt.changed, receipt.open, receipt.window_ms) == (False, "", None)
    stop.set()
    writer.join()
    assert errors == []
    assert trio.state() == before
    used = {statistic.removeprefix("cmdstat_") for name in "abc" for statistic in trio[name].info("commandstats")}
    asked = {"info", "config|get", "pubsub|numsub", "get"}
    # of the writer, of the links between the instances, and of this test's own looks
    others = {"set", "hello", "replconf", "ping", "dbsize", "scan", "config|resetstat"}
    assert asked <= used <= asked | others


def _write(client: "redis.Redis", stop: threading.Event, errors: list[Exception]) -> None:
    while not stop.is_set():
        try:
            client.set("busy", "writer")
        except redis.RedisError as error:
            errors.append(error)


def test_believes_no_address_that_a_master_shows_of_its_slaves(trio: Group) -> None:
    for name in "abc":
        trio[name].config_set("replica-announce-ip", "10.9.9.9")
        trio[name].config_set("replica-announce-port", 1)
    trio.follow("a", "b", "c")
    for master, others in (("b", "ac"), ("c", "ab"), ("a", "bc")):
        trio.apply(master, *others)
        trio.is_led_by(master, *others)


def test_refuses_to_switch_without_a_config_file_and_says_what_it_means_when_forced(trio: Group) -> None:
    for name in "abc":
        directory = Path(trio.servers[name].directory)
        (directory / "redis.conf").rename(directory / "gone.conf")
        (directory / "redis.conf").mkdir()
    before = trio.state()
    with pytest.raises(Refused, match=rf":{trio.servers['a'].port} can't save its role .CONFIG REWRITE"):
        trio.apply("b", "a", "c")
    assert trio.state() == before
    receipt = trio.apply("b", "a", "c", force=True)
    assert len([warning for warning in receipt.warnings if "CONFIG REWRITE" in warning]) == 3
    assert receipt.open == ""
    trio.is_led_by("b", "a", "c")
