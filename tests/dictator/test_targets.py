"""The failure catalogue: targets that don't have everything yet. None of them may become master before it does."""

import pytest

from safe_redis.errors import NotCaughtUp, Unavailable
from sandbox.process import wait_until
from tests.dictator.group import PATIENCE, Group, fill
from tests.dictator.sweep import FLAVOURS

pytestmark = pytest.mark.parametrize("flavour", FLAVOURS)

KEYS = 1000


def slow_sync(group: Group, milliseconds_a_key: float) -> None:
    """A source with KEYS keys whose snapshot takes its time, and a target in its first sync from it."""
    group.add("a", "b")
    fill(group["a"], KEYS)
    group["a"].config_set("rdb-key-save-delay", int(milliseconds_a_key * 1000))
    group["b"].replicaof(group.where("a").host, group.where("a").port)
    wait_until(lambda: group["a"].info("persistence")["rdb_bgsave_in_progress"] == 1, "the sync has begun", PATIENCE)
    assert group.keys("b") == 0


def test_waits_for_a_target_that_is_still_in_its_first_sync(group: Group) -> None:
    slow_sync(group, 1.5)
    group.apply("b", "a", sync_timeout=PATIENCE)
    assert group.keys("b") == KEYS
    group.is_led_by("b", "a")


def test_gives_up_on_a_first_sync_that_outlasts_the_deadline(group: Group) -> None:
    slow_sync(group, 10)
    with pytest.raises(NotCaughtUp, match=r"is not in sync with .* gave up after 0.3 s"):
        group.apply("b", "a", sync_timeout=0.3)
    assert group.replication("a")["role"] == "master"
    assert group["a"].set("still", "writable")
    assert group.keys("a") == KEYS + 1


def test_makes_an_empty_target_that_never_was_a_slave_one_first(group: Group) -> None:
    group.add("a", "b", "c")
    fill(group["a"])
    group.follow("a", "c")
    group.apply("b", "a", "c")
    assert {name: group.keys(name) for name in "abc"} == {"a": 100, "b": 100, "c": 100}
    group.is_led_by("b", "a", "c")


def test_refuses_a_target_whose_link_stays_down_and_takes_it_once_it_is_up(trio: Group) -> None:
    trio.proxy("a", "b", "c")
    trio.follow("a", "b", "c")
    trio.proxies["a"].cut_links()
    trio["a"].set("late", "write")
    with pytest.raises(NotCaughtUp, match="is not in sync with"):
        trio.apply("b", "a", "c", sync_timeout=0.5)
    assert trio["a"].set("later", "write")
    trio.proxies["a"].mend()
    trio.apply("b", "a", "c", sync_timeout=PATIENCE)
    assert trio["b"].get("late") == trio["b"].get("later") == "write"
    trio.is_led_by("b", "a", "c")


def test_does_not_trust_a_link_that_says_up_while_nothing_flows(trio: Group) -> None:
    trio.proxy("a", "b", "c")
    trio.follow("a", "b", "c")
    trio.proxies["a"].hush()
    assert trio["a"].set("late", "write")
    assert trio.replication("b")["master_link_status"] == "up"
    with pytest.raises(NotCaughtUp, match=r"gave up after 0.5 s"):
        trio.apply("b", "a", "c", sync_timeout=0.5)
    assert trio["a"].set("later", "write"), "a probe that fails must not hold back writes"
    trio.proxies["a"].mend()
    trio.apply("b", "a", "c", sync_timeout=PATIENCE)
    assert trio["b"].get("late") == trio["b"].get("later") == "write"
    trio.is_led_by("b", "a", "c")


def test_waits_for_a_target_that_lags_far_behind(trio: Group) -> None:
    trio.proxy("a", "b", "c")
    trio.follow("a", "b", "c")
    trio.proxies["a"].hush()
    for number in range(40):
        trio["a"].set(f"large:{number}", "x" * 100_000)
    trio.proxies["a"].mend()
    receipt = trio.apply("b", "a", "c", sync_timeout=PATIENCE)
    assert receipt.window_ms is not None
    assert len(trio["b"].keys("large:*")) == 40
    trio.is_led_by("b", "a", "c")


def test_moves_a_target_that_hangs_below_another_slave_directly_under_the_source(trio: Group) -> None:
    trio.follow("c", "b")
    trio.apply("b", "a", "c")
    assert trio.keys("b") == 100
    trio.is_led_by("b", "a", "c")


def test_leaves_everything_alone_where_the_target_is_dead(trio: Group) -> None:
    trio.servers["b"].kill()
    before = trio.state()
    with pytest.raises(Unavailable, match=f"127.0.0.1:{trio.servers['b'].port}.*doesn't answer"):
        trio.apply("b", "a", "c")
    assert trio.state() == before


def test_a_busy_source_changes_hands_while_keys_expire_all_the_time(trio: Group) -> None:
    for master, others in (("b", "ac"), ("c", "ab"), ("a", "bc")):
        old = next(name for name in "abc" if trio.replication(name)["role"] == "master")
        with trio[old].pipeline(transaction=False) as pipe:
            for number in range(3000):
                pipe.set(f"{master}:{number}", "short-lived", px=1 + number // 10)
            pipe.execute()
        trio.apply(master, *others)
        trio.is_led_by(master, *others)
        wait_until(lambda master=master: not trio[master].keys(f"{master}:*"), "all have expired", PATIENCE)  # type: ignore[misc]
