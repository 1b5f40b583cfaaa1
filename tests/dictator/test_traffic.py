"""Lua, transactions, blocking pops, pipelines, TTLs and large values while the master changes: nothing is lost."""

from functools import partial
from typing import Any

import pytest

from sandbox.process import wait_until
from tests.dictator.group import PATIENCE, Group, fill
from tests.dictator.sweep import FLAVOURS
from tests.dictator.traffic import MEGABYTE, Client, under_way

SWITCHES = "bcabca"


@pytest.fixture(params=FLAVOURS)
def busy(request: pytest.FixtureRequest, group: Group) -> Group:
    group.add("a", "b", "c", flavour=request.param)
    fill(group["a"])
    group.follow("a", "b", "c")
    return group


def switch_about(group: Group, clients: dict[str, Client]) -> None:
    """Changes the master a few times, each time after every client has had a write acknowledged."""
    writers = [client for client in clients.values() if client.name != "pop"]
    for master in SWITCHES:
        before = [len(client.acked) for client in writers]
        wait_until(partial(all_go_on, writers, before), "every client has written", PATIENCE)
        settings: dict[str, Any] = {"sync_timeout": PATIENCE, "pause_timeout": 5, "follow_timeout": PATIENCE}
        receipt = group.apply(master, *(name for name in "abc" if name != master), **settings)
        assert receipt.open == ""


def all_go_on(writers: list[Client], before: list[int]) -> bool:
    return all(len(client.acked) > count for client, count in zip(writers, before, strict=True))


def stored(group: Group, key: str) -> list[str]:
    return [str(value) for value in group[SWITCHES[-1]].lrange(key, 0, -1)]


@pytest.mark.parametrize("kind", ["lua", "multi"])
def test_scripts_and_transactions_are_carried_out_wholly_or_not_at_all(busy: Group, kind: str) -> None:
    with under_way(busy, "abc", kind) as clients:
        switch_about(busy, clients)
    first, second = stored(busy, f"{kind}:1"), stored(busy, f"{kind}:2")
    assert first == second
    assert clients[kind].acked <= set(first)
    assert not clients[kind].refused & set(first)
    assert len(set(first)) == len(first)


def test_each_write_of_a_pipeline_is_what_its_own_answer_says(busy: Group) -> None:
    with under_way(busy, "abc", "pipelined") as clients:
        switch_about(busy, clients)
    values = set(stored(busy, "pipelined"))
    assert clients["pipelined"].acked <= values
    assert not clients["pipelined"].refused & values


def test_large_values_and_keys_with_a_ttl_are_all_there(busy: Group) -> None:
    with under_way(busy, "abc", "large lasting") as clients:
        switch_about(busy, clients)
    master = busy[SWITCHES[-1]]
    assert clients["large"].acked <= set(stored(busy, "large"))
    for value in clients["large"].acked:
        assert master.strlen(f"large:{value}") == len(value) + len(MEGABYTE)
    for value in clients["lasting"].acked:
        assert master.get(f"lasting:{value}") == value
    wait_until(lambda: not master.keys("brief:*"), "what has a short life is gone", PATIENCE)


def test_what_a_blocked_client_popped_is_gone_and_what_it_did_not_is_there(busy: Group) -> None:
    with under_way(busy, "abc", "push pop") as clients:
        switch_about(busy, clients)
    left, pushed, popped = stored(busy, "queue"), clients["push"].acked, clients["pop"].popped
    assert popped
    assert not popped & set(left), "an acknowledged pop is a write, too"
    assert not clients["push"].refused & (set(left) | popped)
    # a pop whose connection broke may have been done
    assert len(pushed - popped - set(left)) <= clients["pop"].lost_pops
    assert len(set(left)) == len(left)
