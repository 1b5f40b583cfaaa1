"""One deadline for a whole apply: waits before and after the window are cut to what is left of it."""

import pytest

from safe_redis.errors import NotCaughtUp
from tests.dictator.group import Group, fill

LONG = 3000.0


def test_a_target_that_never_syncs_is_given_up_when_the_time_is_over(trio: Group) -> None:
    trio.proxy("a", "b", "c")
    trio.follow("a", "b", "c")
    trio.proxies["a"].cut_links()
    # without the deadline, this would outlast the test's own
    with pytest.raises(NotCaughtUp, match=r"is not in sync with .* gave up after [01](\.\d)? s"):
        trio.apply("b", "a", "c", sync_timeout=LONG, apply_timeout=1.0)
    assert trio.replication("a")["role"] == "master"
    assert trio["a"].set("still", "writable")


def test_slaves_that_do_not_follow_are_named_when_the_time_is_over(group: Group) -> None:
    group.add("a", "b")
    fill(group["a"], 1000)
    # its first sync takes longer than the apply has
    group["a"].config_set("rdb-key-save-delay", 100_000)
    receipt = group.apply("a", "b", follow_timeout=LONG, apply_timeout=1.0)
    assert str(group.servers["b"].port) in receipt.open
    assert group.replication("a")["role"] == "master"
