"""The planner alone: what it refuses, with which words and figures, and what it plans where nothing is to do."""

from dataclasses import replace

import pytest

from dictator.history import History, includes
from dictator.observation import Instance, Observation, Replication, Skipped
from dictator.plan import plan
from dictator.source import ClusterState
from dictator.steps import Drain, Fence, Follow, HandOver, Lift, Park, Pause, Promote, Tidy
from safe_redis.errors import LostHolder, Refused, Unavailable

A, B, C = (Instance(f"core-0{n}", f"10.0.0.{n}", 6379) for n in (1, 2, 3))
STREAM = History("a" * 40, 100)


def master(instance: Instance, history: History = STREAM, *, keys: int = 5) -> Observation:
    return Observation(
        instance,
        f"run {instance.name}",
        (7, 0, 15),
        valkey=False,
        replication=Replication(master=True, history=history),
        keys=keys,
    )


def slave(instance: Instance, of: Instance, history: History = STREAM, *, keys: int = 5) -> Observation:
    rep = Replication(master=False, history=history, following=of.address, link_up=True)
    return Observation(instance, f"run {instance.name}", (7, 0, 15), valkey=False, replication=rep, keys=keys)


RUNNING = ClusterState(master(A), (slave(B, A), slave(C, A)))
SWITCH = ClusterState(slave(B, A), (master(A), slave(C, A)))


def test_plans_nothing_where_everything_is_as_wanted() -> None:
    assert plan(RUNNING).steps == ()


def test_pauses_drains_fences_drains_promotes_and_hands_over_in_this_order() -> None:
    switch = [step for step in plan(SWITCH).steps if isinstance(step, Pause | Drain | Fence | Promote | HandOver)]
    assert switch == [Pause(A), Drain(B, A), Fence(A), Drain(B, A), Promote(B, A), HandOver(A, B)]


def test_only_the_slave_that_follows_somebody_else_is_moved() -> None:
    seen = ClusterState(master(A), (slave(B, A), slave(C, B)))
    assert plan(seen).steps == (Follow((C,), A),)


def test_parks_empty_masters_before_they_become_slaves() -> None:
    seen = ClusterState(master(A), (master(B, History("b" * 40, 0), keys=0), slave(C, A)))
    assert plan(seen).steps == (Park(B, A, forced=False), Follow((B,), A))


def test_takes_back_another_tools_fence() -> None:
    seen = replace(RUNNING, master=replace(RUNNING.master, min_replicas=1_000_002))
    assert plan(seen).steps == (Tidy((A,)),)


def test_leaves_a_min_replicas_of_the_operators_alone() -> None:
    seen = replace(RUNNING, master=replace(RUNNING.master, min_replicas=2))
    assert plan(seen).steps == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": (6, 0, 16)}, r"core-01 \(10.0.0.1:6379\) runs Redis 6.0.16; .* 6.2"),
        ({"version": (7, 1), "valkey": True}, r"runs Valkey 7.1; .* 7.2"),
        ({"cluster": True}, "cluster mode"),
        ({"read_only": False}, "replica-read-only no"),
        ({"sentinels": 2}, r"2 Sentinel\(s\) watch core-01"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_refuses_what_breaks_its_promise_even_when_forced(change: dict[str, object], told: str, *, force: bool) -> None:
    changed = replace(RUNNING.master, **change)  # type: ignore[arg-type] # of various types, by name
    with pytest.raises(Refused, match=told):
        plan(ClusterState(changed, RUNNING.slaves), force=force)


def test_an_old_slave_is_refused_as_well() -> None:
    with pytest.raises(Refused, match="core-03"):
        plan(ClusterState(master(A), (slave(B, A), replace(slave(C, A), version=(5, 0)))))


def test_waits_for_a_failover_that_is_under_way() -> None:
    busy = replace(RUNNING.master, replication=replace(RUNNING.master.replication, failover=True))
    with pytest.raises(Unavailable, match="FAILOVER"):
        plan(ClusterState(busy, ()))


def test_refuses_one_instance_under_two_names() -> None:
    twin = replace(slave(C, A), run_id=RUNNING.master.run_id)
    with pytest.raises(Refused, match=r"core-01 .* and core-03 .* are one and the same instance"):
        plan(ClusterState(master(A), (slave(B, A), twin)))


def test_refuses_two_masters_holding_data_and_names_both_with_their_figures() -> None:
    other = master(B, History("b" * 40, 70), keys=9)
    with pytest.raises(Refused) as refusal:
        plan(ClusterState(master(A), (other,)))
    for figure in (
        "core-01",
        "5 keys",
        "offset 100",
        "core-02",
        "9 keys",
        "offset 70",
        "force=1",
        "out of the topology",
    ):
        assert figure in str(refusal.value)


def test_force_keeps_the_wanted_master_and_says_what_it_discards() -> None:
    made = plan(ClusterState(master(A), (master(B, History("b" * 40, 70), keys=9),)), force=True)
    assert made.source == A
    assert made.steps == (Park(B, A, forced=True), Follow((B,), A))
    assert made.discarded == ("core-02 (10.0.0.2:6379): master, 9 keys, offset 70 of bbbbbbbb",)


def test_a_master_whose_history_goes_on_elsewhere_is_overwritten_without_force() -> None:
    newer = History("b" * 40, 150, "a" * 40, 100)
    made = plan(ClusterState(master(B, newer), (master(A, History("a" * 40, 100)),)))
    assert made.source == B
    assert made.discarded == ()


def test_one_byte_beyond_the_fork_is_refused() -> None:
    newer = History("b" * 40, 150, "a" * 40, 100)
    with pytest.raises(Refused):
        plan(ClusterState(master(B, newer), (master(A, History("a" * 40, 101)),)))


def test_a_dead_holder_may_come_back() -> None:
    seen = ClusterState(slave(B, A), (slave(C, A),), left_out=(Skipped("core-01", "doesn't answer"),))
    with pytest.raises(LostHolder, match=r"core-01 \(doesn't answer\) may hold it"):
        plan(seen)


def test_an_empty_slave_whose_master_is_away_waits_for_it() -> None:
    seen = ClusterState(slave(B, A, keys=0), (slave(C, A, keys=0),), left_out=(Skipped("core-01", "doesn't answer"),))
    with pytest.raises(LostHolder, match="core-01"):
        plan(seen)
    assert plan(seen, force=True).source == B


def test_forced_the_most_advanced_copy_survives_and_hands_over_to_the_wanted_master() -> None:
    ahead = slave(C, A, History("a" * 40, 120))
    seen = ClusterState(slave(B, A), (ahead,), left_out=(Skipped("core-01", "doesn't answer"),))
    made = plan(seen, force=True)
    assert made.source == C
    assert made.steps[0] == Lift(C)


@pytest.mark.parametrize(
    ("later", "earlier", "expected"),
    [
        (History("x", 10), History("x", 10), True),
        (History("x", 10), History("x", 11), False),
        (History("x", 10), History("y", 0), False),
        (History("y", 20, "x", 10), History("x", 10), True),
        (History("y", 20, "x", 10), History("x", 11), False),
        # nothing was written after the promotion, so that it is still the same data
        (History("x", 10), History("y", 10, "x", 10), True),
        (History("x", 10), History("y", 11, "x", 10), False),
        # an id that was never set matches nothing
        (History("x", 10, "", 5), History("", 3), False),
    ],
)
def test_one_history_includes_another(later: History, earlier: History, *, expected: bool) -> None:
    assert includes(later, earlier) is expected
