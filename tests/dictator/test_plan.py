"""The planner alone: what it refuses, with which words and figures, and what it plans where nothing is to do."""

from dataclasses import replace

import msgspec
import pytest

from dictator.history import History, includes
from dictator.instance import Instance
from dictator.lineage import Claim, Member, Record
from dictator.observation import FENCE, Observation, Replication, Skipped
from dictator.plan import Plan
from dictator.plan import plan as real_plan
from dictator.state import ClusterState
from dictator.steps import (
    CheckRights,
    Drain,
    Fence,
    Follow,
    HandOver,
    Intend,
    Lift,
    Park,
    Pause,
    Promote,
    Step,
    Tidy,
    WriteRecord,
)
from safe_redis.errors import LostHolder, Refused, Unavailable

A, B, C = (Instance(f"core-0{n}", f"10.0.0.{n}", 6379) for n in (1, 2, 3))
STREAM = History("a" * 40, 100)
CLAIM = Claim("redis-1", "fresh id", 1000)
EPOCH = 7


def plan(state: ClusterState, *, force: bool = False) -> Plan:
    return real_plan(state, CLAIM, force=force)


def changes(made: Plan) -> tuple[Step, ...]:
    """The steps without the check that comes before every change."""
    assert not made.steps or isinstance(made.steps[0], CheckRights)
    return made.steps[1:]


def served(by: Instance, epoch: int = EPOCH, **fields: object) -> Record:
    return replace_record(Record("redis-1", "id", epoch, "served", Member.of(by)), **fields)


def intended(source: Instance, target: Instance, epoch: int = EPOCH) -> Record:
    return Record("redis-1", "id", epoch, "intended", Member.of(target), Member.of(source))


def replace_record(record: Record, **fields: object) -> Record:
    return msgspec.structs.replace(record, **fields)


def observed(instance: Instance, rep: Replication, keys: int, record: Record | None) -> Observation:
    run_id = f"run {instance.name}"
    return Observation(instance, run_id, (7, 0, 15), valkey=False, replication=rep, keys=keys, record=record)


def master(
    instance: Instance, history: History = STREAM, *, keys: int = 5, record: Record | None = None
) -> Observation:
    return observed(instance, Replication(master=True, history=history), keys, record)


def slave(
    instance: Instance, of: Instance, history: History = STREAM, *, keys: int = 5, record: Record | None = None
) -> Observation:
    rep = Replication(master=False, history=history, following=of.address, link_up=True)
    return observed(instance, rep, keys, record)


def parked(instance: Instance, history: History = STREAM, *, record: Record | None = None) -> Observation:
    return observed(instance, Replication(master=False, history=history, following=FENCE), 5, record)


BY_A = served(A)
RUNNING = ClusterState(master(A, record=BY_A), (slave(B, A, record=BY_A), slave(C, A, record=BY_A)))
SWITCH = ClusterState(slave(B, A, record=BY_A), (master(A, record=BY_A), slave(C, A, record=BY_A)))


def test_plans_nothing_where_everything_is_as_wanted() -> None:
    assert plan(RUNNING).steps == ()


def test_pauses_drains_fences_drains_promotes_and_hands_over_in_this_order() -> None:
    switch = [step for step in plan(SWITCH).steps if isinstance(step, Pause | Drain | Fence | Promote | HandOver)]
    intent, record = intended(A, B, 1000), served(B, 1000)
    promotion = [Promote(B, A, record), HandOver(A, B)]
    assert switch == [Pause(A), Drain(B, A), Fence(A, intent, forced=False), Drain(B, A), *promotion]


def test_only_the_slave_that_follows_somebody_else_is_moved() -> None:
    state = ClusterState(master(A, record=BY_A), (slave(B, A, record=BY_A), slave(C, B, record=BY_A)))
    assert changes(plan(state)) == (Follow((C,), A),)


def test_parks_empty_masters_before_they_become_slaves() -> None:
    empty = master(B, History("b" * 40, 0), keys=0)
    state = ClusterState(master(A, record=BY_A), (empty, slave(C, A, record=BY_A)))
    assert changes(plan(state)) == (Park(B, A, forced=False), Follow((B,), A))


def test_takes_back_another_tools_fence() -> None:
    state = replace(RUNNING, master=replace(RUNNING.master, min_replicas=1_000_002))
    assert changes(plan(state)) == (Tidy((A,)),)


def test_leaves_a_min_replicas_of_the_operators_alone() -> None:
    state = replace(RUNNING, master=replace(RUNNING.master, min_replicas=2))
    assert plan(state).steps == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": (6, 0, 16)}, r"core-01 \(10.0.0.1:6379\) runs Redis 6.0.16; .* 6.2"),
        ({"version": (7, 1), "valkey": True}, r"runs Valkey 7.1; .* 7.2"),
        ({"cluster": True}, "cluster mode"),
        ({"read_only": False}, "replica-read-only no"),
        ({"sentinels": 2}, r"2 Sentinel\(s\) watch core-01"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_refuses_what_breaks_its_promise_even_when_forced(
    change: dict[str, object], reason: str, *, force: bool
) -> None:
    changed = replace(RUNNING.master, **change)  # type: ignore[arg-type] # of various types, by name
    with pytest.raises(Refused, match=reason):
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
    record = Record("redis-1", "fresh id", 1000, "served", Member.of(A), forced=1000)
    assert changes(made) == (Park(B, A, forced=True), Follow((B,), A), WriteRecord(A, record))
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
    state = ClusterState(slave(B, A), (slave(C, A),), left_out=(Skipped("core-01", "doesn't answer"),))
    with pytest.raises(LostHolder, match=r"core-01 \(doesn't answer\) may hold it"):
        plan(state)


def test_an_empty_slave_whose_master_is_away_waits_for_it() -> None:
    state = ClusterState(slave(B, A, keys=0), (slave(C, A, keys=0),), left_out=(Skipped("core-01", "doesn't answer"),))
    with pytest.raises(LostHolder, match="core-01"):
        plan(state)
    assert plan(state, force=True).source == B


def test_forced_the_most_advanced_copy_survives_and_hands_over_to_the_wanted_master() -> None:
    ahead = slave(C, A, History("a" * 40, 120))
    state = ClusterState(slave(B, A), (ahead,), left_out=(Skipped("core-01", "doesn't answer"),))
    made = plan(state, force=True)
    assert made.source == C
    assert changes(made)[0] == Lift(C, Record("redis-1", "fresh id", 1000, "served", Member.of(C), forced=1000))


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


class TestRecords:
    """What a run concludes from the records, row by row; E is EPOCH."""

    OTHER = replace(SWITCH.master, record=replace_record(BY_A, cluster="redis-2"))

    def test_leaves_another_clusters_instance_alone_also_when_forced(self) -> None:
        state = ClusterState(master(A, record=BY_A), (replace(self.OTHER, instance=C), slave(B, A, record=BY_A)))
        for force in (False, True):
            made = plan(state, force=force)
            assert made.steps == ()
            assert "belongs to the cluster 'redis-2', not to 'redis-1'" in str(made.left_out[0])

    def test_refuses_another_clusters_instance_as_the_master(self) -> None:
        with pytest.raises(Unavailable, match=r"core-02 .* belongs to the cluster 'redis-2'"):
            plan(ClusterState(self.OTHER, SWITCH.slaves), force=True)

    def test_refuses_two_lineages_of_one_name_and_force_keeps_the_wanted_masters(self) -> None:
        newer = replace_record(served(B, EPOCH + 1), id="another id")
        state = ClusterState(master(A, record=BY_A), (master(B, History("b" * 40, 9), record=newer),))
        with pytest.raises(Refused, match=r"two lineages .*another id .*core-02.* id .*core-01"):
            plan(state)
        assert plan(state, force=True).source == A

    def test_refuses_keys_without_the_record(self) -> None:
        stranger = replace(slave(C, Instance("x", "10.9.9.9", 1), History("c" * 40, 5)), connected_slaves=0)
        with pytest.raises(Refused, match=r"core-03 .* follows 10.9.9.9:1, .* stale"):
            plan(ClusterState(master(A, record=BY_A), (stranger,)))
        with pytest.raises(Refused, match=r"core-03 .* holds data without the lineage record of this cluster"):
            plan(ClusterState(master(A, record=BY_A), (master(C, History("c" * 40, 5)),)))

    def test_refuses_an_empty_master_that_has_slaves_of_its_own(self) -> None:
        stranger = replace(master(C, History("c" * 40, 5), keys=0), connected_slaves=2)
        with pytest.raises(Refused, match=r"core-03 .* 2 slave\(s\) that the topology does not list"):
            plan(ClusterState(master(A, record=BY_A), (stranger,)))

    def test_the_served_master_is_the_source_also_when_its_keys_were_consumed(self) -> None:
        newer = served(B, EPOCH + 1)
        state = ClusterState(
            parked(A, record=intended(A, B, EPOCH + 1)), (master(B, History("b" * 40, 9), keys=0, record=newer),)
        )
        assert plan(state).source == B

    def test_waits_for_the_served_master_and_names_the_most_advanced_copy(self) -> None:
        ahead = slave(C, A, History("a" * 40, 120), record=BY_A)
        state = ClusterState(slave(B, A, record=BY_A), (ahead,), left_out=(Skipped("core-01", "no answer"),))
        with pytest.raises(LostHolder, match=r"epoch 7, served by core-01 .*no answer.*most advanced copy is core-03"):
            plan(state)
        assert plan(state, force=True).source == C

    def test_refuses_a_master_that_lost_its_record_and_its_history(self) -> None:
        state = ClusterState(master(A, History("d" * 40, 3)), (slave(B, A, record=BY_A),))
        with pytest.raises(Refused, match="lost its disk"):
            plan(state)

    def test_gives_a_flushed_master_its_record_again(self) -> None:
        state = ClusterState(master(A, keys=0), (slave(B, A, record=BY_A), slave(C, A, keys=0)))
        made = plan(state)
        assert made.source == A
        assert WriteRecord(A, served(A, 1000)) in made.steps

    @pytest.mark.parametrize("target_as", ["master", "parked"])
    def test_a_promoted_target_is_the_source(self, target_as: str) -> None:
        intent = intended(A, B)
        history = History("b" * 40, 130, "a" * 40, 100)
        target = master(B, history, record=intent) if target_as == "master" else parked(B, history, record=intent)
        assert plan(ClusterState(parked(A, record=intent), (target,))).source == B

    def test_a_parked_source_is_lifted_when_the_target_is_still_a_slave_with_the_intent(self) -> None:
        intent = intended(A, B)
        made = plan(ClusterState(parked(A, record=intent), (slave(B, A, record=intent),)))
        assert changes(made)[0] == Lift(A, served(A, 1000))

    @pytest.mark.parametrize("listed", [True, False])
    def test_a_parked_source_waits_for_its_target_listed_or_not(self, *, listed: bool) -> None:
        intent = intended(A, B)
        missing = (Skipped("core-02", "no answer"),) if listed else ()
        state = ClusterState(parked(A, record=intent), (slave(C, A, record=intent),), left_out=missing)
        with pytest.raises(LostHolder, match=r"intended from core-01 .* to core-02 .* can't be reached"):
            plan(state)

    def test_a_parked_source_is_not_lifted_when_its_target_lost_the_record(self) -> None:
        intent = intended(A, B)
        state = ClusterState(parked(A, record=intent), (slave(B, A, History("", 0), keys=0),))
        with pytest.raises(Refused, match=r"core-02 .*does not hold that record.*lost its disk"):
            plan(state)

    def test_a_source_that_is_still_a_master_needs_no_target(self) -> None:
        state = ClusterState(master(A, record=intended(A, B)), (slave(C, A, record=intended(A, B)),))
        made = plan(replace(state, left_out=(Skipped("core-02", "no answer"),)))
        assert made.source == A
        assert changes(made) == (WriteRecord(A, served(A, 1000)),)

    def test_refuses_a_second_master_of_the_same_data(self) -> None:
        older = master(C, History("c" * 40, 300), record=served(C, EPOCH - 1))
        with pytest.raises(Refused, match=r"two masters .*core-01.*core-03"):
            plan(ClusterState(master(A, record=BY_A), (older,)))

    def test_overwrites_a_source_that_missed_later_switches(self) -> None:
        old = parked(C, History("c" * 40, 300), record=intended(C, B, EPOCH - 1))
        made = plan(ClusterState(master(A, record=BY_A), (old, slave(B, A, record=BY_A))))
        assert changes(made) == (Follow((C,), A),)

    def test_does_not_overwrite_it_when_a_later_epoch_was_forced(self) -> None:
        old = parked(C, History("c" * 40, 300), record=intended(C, B, EPOCH - 1))
        forced = served(A, forced=EPOCH)
        with pytest.raises(Refused, match=r"core-03 .* would be lost"):
            plan(ClusterState(master(A, record=forced), (old, slave(B, A, record=forced))))

    def test_goes_on_from_the_one_master_where_somebody_moved_it(self) -> None:
        state = ClusterState(slave(A, B, record=BY_A), (master(B, record=BY_A), slave(C, B, record=BY_A)))
        assert plan(state).source == B
        with pytest.raises(Refused, match="not of a master with this record"):
            plan(ClusterState(slave(A, B, record=BY_A), (master(B, History("e" * 40, 1)),)))

    def test_takes_the_most_advanced_copy_of_a_cycle_where_nobody_is_missing(self) -> None:
        ahead = slave(C, B, History("a" * 40, 120), record=BY_A)
        state = ClusterState(slave(A, B, record=BY_A), (slave(B, C, record=BY_A), ahead))
        assert plan(state).source == C
        with pytest.raises(LostHolder, match="core-04"):
            plan(replace(state, left_out=(Skipped("core-04", "no answer"),)))

    def test_force_puts_a_parked_old_source_last(self) -> None:
        intent = intended(A, B)
        promoted = master(B, History("b" * 40, 50), record=intent)
        other = master(C, History("c" * 40, 60), record=intent)
        state = ClusterState(parked(A, record=intent), (promoted, other))
        with pytest.raises(Refused):
            plan(state)
        made = plan(state, force=True)
        assert made.source in (B, C)
        assert any(str(A) in text for text in made.discarded)

    def test_writes_nothing_when_the_intent_was_already_served(self) -> None:
        state = ClusterState(
            master(B, record=served(B)), (slave(A, B, record=served(B)), slave(C, B, record=intended(A, B)))
        )
        assert plan(state).steps == ()

    def test_records_the_promotion_that_a_dead_dictator_did_not(self) -> None:
        intent = intended(A, B)
        state = ClusterState(master(B, record=intent), (slave(A, B, record=intent),))
        assert changes(plan(state)) == (WriteRecord(B, served(B)),)


class TestAdoption:
    """No record anywhere: a new cluster, or a replication that is taken over."""

    def test_records_the_one_plain_master_once_its_slaves_have_saved_their_role(self) -> None:
        made = plan(ClusterState(master(A), (slave(B, A), slave(C, A))))
        record = Record("redis-1", "fresh id", 1000, "served", Member.of(A))
        assert changes(made) == (Follow((B, C), A), WriteRecord(A, record))

    def test_a_run_that_dies_before_the_slaves_follow_leaves_an_adoption_again(self) -> None:
        """A came back under a new address, with a new history: a record now would make strangers of its own slaves."""
        old = Instance("x", "10.0.0.1", 1)
        lost = [
            replace(slave(at, old), replication=replace(slave(at, old).replication, link_up=False)) for at in (B, C)
        ]
        steps = changes(plan(ClusterState(master(A, History("d" * 40, 9)), tuple(lost))))
        assert [type(step) for step in steps] == [Follow, WriteRecord]

    def test_a_switch_adopts_by_its_intent(self) -> None:
        made = plan(ClusterState(slave(B, A), (master(A), slave(C, A))))
        assert made.source == A
        assert any(isinstance(step, Intend) and step.record.id == "fresh id" for step in made.steps)

    def test_waits_where_all_that_are_reached_are_empty_and_one_is_missing(self) -> None:
        empty = ClusterState(master(A, keys=0), (slave(B, A, keys=0),), left_out=(Skipped("core-03", "no answer"),))
        with pytest.raises(LostHolder, match=r"core-03 \(no answer\) may hold data"):
            plan(empty)

    def test_a_retired_master_counts_beside_a_listed_one(self) -> None:
        retired = master(Instance("10.0.0.9", "10.0.0.9", 6379))
        lone = master(B, History("b" * 40, 7), keys=1)
        follower = slave(C, retired.instance)
        with pytest.raises(Refused, match=r"10.0.0.9:6379: master, 5 keys"):
            plan(ClusterState(lone, (follower,), outside=(retired,)))

    def test_refuses_a_copy_of_a_live_master_that_is_not_the_source(self) -> None:
        foreign = slave(C, Instance("x", "10.9.9.9", 1), History("c" * 40, 5))
        with pytest.raises(Refused, match=r"core-03 .* a master outside the topology"):
            plan(ClusterState(master(A), (foreign,)))

    def test_a_parked_source_waits_for_everybody(self) -> None:
        state = ClusterState(parked(A), (slave(C, A),), left_out=(Skipped("core-02", "no answer"),))
        with pytest.raises(LostHolder, match="may have promoted core-02"):
            plan(state)
