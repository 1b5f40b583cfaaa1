"""Mutations of the planner, the executor and the connections: the model must find each of them out.

Whether nothing is found in the unbroken ones is also what the other test_model*.py say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, product
from typing import Any

import pytest

from dictator import plan as planning
from dictator import source, unrecorded
from dictator.execute import preparation, window
from dictator.execute.run import Figures, Run
from dictator.instance import Instance
from dictator.lineage import Claim, Record
from dictator.link import NoAnswer
from dictator.observation import Observation
from dictator.observe import observe
from dictator.plan import Plan, plan
from dictator.state import ClusterState, covers
from dictator.steps import Drain, Fence, Intend, Park, Promote, Step
from dictator.takeover import SET_NAME
from safe_redis.early import Hint
from safe_redis.errors import TopologyError
from tests.dictator import model_runtime, model_verdict
from tests.dictator.model_accidents import deaths, delayed, flush, stalls
from tests.dictator.model_cluster import Cluster
from tests.dictator.model_runtime import ModelConnection, Runtime
from tests.dictator.model_search import Actor, Found, explore
from tests.dictator.model_verdict import (
    Lost,
    Plans,
    apply,
    begin,
    broken,
    check_converged,
    check_foreign,
    check_older,
    finish,
    split,
    split_or_lost,
    verdict,
)
from tests.dictator.states import (
    ALL,
    RECORDED,
    State,
    alone,
    began_and_consumed,
    fenced,
    forced_without_the_master,
    fresh,
    lagging,
    lost_disk,
    master_away,
    running,
    served,
    two_histories,
)

pytestmark = pytest.mark.timeout(600)  # each takes seconds; a busy machine takes its time
Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def forget_verdicts() -> Iterator[None]:
    """What a mutated planner comes to is no verdict of the unbroken one, nor the other way round."""
    model_verdict.forget()
    yield
    model_verdict.forget()


# What looks for violations


def from_every_start(planner: Plans = plan) -> None:
    """Applies, deaths and stalls from the starts; raises Lost."""
    for state, master in product((fresh, running, lagging, alone, *RECORDED), ALL):
        cluster = Cluster()
        state(cluster)
        finish(cluster.copy(), master, planner=planner)
        accidents = chain(deaths(cluster, master, planner=planner), stalls(cluster, master, planner=planner))
        for left, then in product(accidents, ALL):
            finish(left, then, planner=planner)


def from_refusals(states: Sequence[State]) -> None:
    """Applies where only a refusal is right: what goes through must have lost nothing."""
    for state, master in product(states, ALL):
        cluster = Cluster()
        state(cluster)
        cluster.known, cluster.clients_try = None, ()
        try:
            apply(Runtime(cluster), master)
        except TopologyError:
            continue
        for node in cluster.nodes.values():
            node.alive = True
        if wrong := split(cluster):
            raise Lost(wrong)
        check_converged(cluster, master)


def with_two(prepare: Callable[[Runtime], None] = lambda _: None) -> None:
    """Two dictators that want different masters, one switch between them."""
    actors = tuple(Actor(partial(apply, master=master), prepare=prepare) for master in "BC")
    _expect_none(explore(begin(served), actors, split_or_lost, switches=1, first=True))


def by_parts(planner: Plans = plan) -> None:
    """A dictator that reaches A and B dies at any moment, before or after a FLUSHALL; then one reaches A and C."""
    cluster = begin(served)
    cluster["C"].alive = cluster["C"].link = False
    actors = (Actor(partial(apply, master="B", planner=planner)),)
    _expect_none(explore(cluster, actors, _by_the_other_part, accidents=(flush,), first=True))


def _by_the_other_part(cluster: Cluster) -> str | None:
    back = cluster.copy()
    back["C"].alive = True
    return next((wrong for wrong in (verdict(back, master, reach="AC") for master in "AC") if broken(wrong)), None)


def _expect_none(result: Found) -> None:
    if result.violations:
        raise Lost(next(iter(result.violations)))


def with_late_commands() -> None:
    """A dictator dies with a group on its way, which arrives at any moment of the next run."""
    for left, master in product(delayed(begin(served), "B", dies=True), "AC"):
        actors = (Actor(partial(apply, master=master)),)
        _expect_none(explore(left, actors, split_or_lost, accidents=(Cluster.deliver,), first=True))


def with_older_disk() -> None:
    """The source comes back with a disk from before, at any moment of a run."""
    start = begin(served)
    start.back_up("A")
    accidents = (partial(Cluster.restore, name="A"),)
    _expect_none(explore(start, (Actor(partial(apply, master="B")),), check_older, accidents=accidents, first=True))


def with_another_cluster() -> None:
    """An address leads to another cluster's master from any moment of a run on."""
    accidents = (partial(Cluster.replace, name="C"),)
    actors = (Actor(partial(apply, master="B")),)
    _expect_none(explore(begin(served), actors, check_foreign, accidents=accidents, first=True))


# Mutations of the plan: functions of the plan that is made


def without(what: type[Step]) -> Plans:
    def mutated(state: ClusterState, claim: Claim, *, force: bool = False) -> Plan:
        made = plan(state, claim, force=force)
        return replace(made, steps=tuple(step for step in made.steps if not isinstance(step, what)))

    return mutated


def moved(what: type[Step], before: type[Step]) -> Plans:
    def mutated(state: ClusterState, claim: Claim, *, force: bool = False) -> Plan:
        made = plan(state, claim, force=force)
        steps = list(made.steps)
        places = [place for place, step in enumerate(steps) if isinstance(step, what)]
        if places:
            step = steps.pop(places[0])
            steps.insert(next(place for place, other in enumerate(steps) if isinstance(other, before)), step)
        return replace(made, steps=tuple(steps))

    return mutated


@pytest.mark.parametrize(
    "planner",
    [without(Drain), moved(Promote, Fence), without(Fence), without(Park)],
    ids=["no drain", "promoted before the fence", "no fence", "no park"],
)
def test_finds_out_a_plan_in_the_wrong_order(planner: Plans) -> None:
    with pytest.raises(Lost):
        from_every_start(planner)


# Mutations of what is concluded


def test_finds_out_a_planner_without_the_ancestor_rule(monkeypatch: Patch) -> None:
    monkeypatch.setattr(unrecorded, "covers", lambda *_: True)
    monkeypatch.setattr(planning, "overwritable", lambda *_: True)
    monkeypatch.setattr(preparation, "includes", lambda *_: True)
    with pytest.raises(Lost):
        from_refusals([two_histories])


def test_finds_out_zero_keys_taken_for_empty(monkeypatch: Patch) -> None:
    promoted = source._was_promoted
    monkeypatch.setattr(source, "_was_promoted", lambda *args: promoted(*args) and args[-1].keys)
    for module in (source, planning):
        monkeypatch.setattr(module, "covers", lambda later, earlier: not earlier.keys or covers(later, earlier))
    monkeypatch.setattr(preparation, "includes", lambda *_: True)
    with pytest.raises(Lost, match="pop"):
        from_refusals([began_and_consumed])


def test_finds_out_a_source_that_has_lost_the_record(monkeypatch: Patch) -> None:
    monkeypatch.setattr(source, "_kept", lambda *_: True)
    with pytest.raises(Lost, match="missing"):
        from_refusals([lost_disk])


def test_finds_out_going_on_where_all_that_are_reached_are_empty(monkeypatch: Patch) -> None:
    all_empty = unrecorded._all_empty
    monkeypatch.setattr(
        unrecorded, "_all_empty", lambda state, force: all_empty(replace(state, left_out=()), force=force)
    )
    with pytest.raises(Lost):
        from_refusals([master_away])


def test_finds_out_copies_overwritten_by_their_age_only(monkeypatch: Patch) -> None:
    def older(seen: Observation, than: Observation) -> bool:
        return seen.epoch <= than.epoch

    monkeypatch.setattr(source, "_check_masters", lambda *_: None)
    monkeypatch.setattr(planning, "overwritable", older)
    monkeypatch.setattr(preparation, "includes", lambda *_: True)
    with pytest.raises(Lost, match="missing"):
        from_refusals([forced_without_the_master])


def test_finds_out_an_intent_that_does_not_name_its_target(monkeypatch: Patch) -> None:
    """The old rule: the parked source is lifted where a slave that was reached follows it, or all are here."""
    named = source._of_intended

    def unnamed(state: ClusterState, record: Record) -> Observation:
        old = state.locate(record.source)
        if old and state.locate(record.master) is None:
            return old
        return named(state, record)

    monkeypatch.setattr(source, "_of_intended", unnamed)
    with pytest.raises(Lost):
        by_parts()


def test_finds_out_a_switch_without_an_intent(monkeypatch: Patch) -> None:
    _blind(monkeypatch)
    with pytest.raises(Lost):
        by_parts(without(Intend))


def test_finds_out_a_fence_that_is_blind_to_the_record(monkeypatch: Patch) -> None:
    _blind(monkeypatch)
    with pytest.raises(Lost):
        by_parts()


def _blind(monkeypatch: Patch) -> None:
    """The fence takes any record for its intent."""

    class Anything(str):
        __slots__ = ()

        def __ne__(self, _: object) -> bool:
            return False

        __hash__ = str.__hash__

    monkeypatch.setattr(window, "encode", lambda _: Anything())


# Mutations of the connections


def test_finds_out_a_connection_that_is_opened_again() -> None:
    def reopen(runtime: Runtime) -> None:
        runtime.reopens = True

    with pytest.raises(Lost):
        with_two(reopen)


def test_finds_out_a_master_that_is_published_before_it_serves(monkeypatch: Patch) -> None:
    fence = window.Window.fence

    def tell_at_once(self: window.Window, run: Run, step: Fence) -> Figures:
        figures = fence(self, run, step)
        run.tell(Hint.MASTER)
        return figures

    monkeypatch.setattr(window.Window, "fence", tell_at_once)
    with pytest.raises(Lost, match="is published, and is no master"):
        from_every_start()


def test_finds_out_a_master_that_is_published_though_another_dictator_has_taken_over(monkeypatch: Patch) -> None:
    release = window.Window._release

    def tell_anyway(self: window.Window, source: Instance, master: Instance) -> NoAnswer | None:
        late = release(self, source, master)
        self._run.tell(Hint.MASTER)
        return late

    monkeypatch.setattr(window.Window, "_release", tell_anyway)
    with pytest.raises(Lost, match="is published, and is no master"):
        with_two()


def only_named(connection: ModelConnection, *_: object) -> object:
    """A takeover that names its own connection, and ends no other."""
    yield from connection.ask((SET_NAME,), 0)


def test_finds_out_a_successor_that_ends_nothing(monkeypatch: Patch) -> None:
    monkeypatch.setattr(model_runtime, "take_over", only_named)
    with pytest.raises(Lost):
        with_two()


def test_finds_out_a_successor_that_leaves_late_commands_on_their_way(monkeypatch: Patch) -> None:
    monkeypatch.setattr(model_runtime, "take_over", only_named)
    with pytest.raises(Lost):
        with_late_commands()


def test_finds_out_a_late_command_that_the_end_of_its_connection_does_not_stop(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Cluster, "carries", lambda *_: True)
    with pytest.raises(Lost):
        with_late_commands()


def test_finds_out_a_plan_that_was_made_before_the_others_were_ended(monkeypatch: Patch) -> None:
    def observe_once(runtime: Runtime, *listed: Any) -> ClusterState:
        seen.setdefault(runtime, observe(runtime, *listed))
        return seen.pop(runtime) if runtime.acting else seen[runtime]

    seen: dict[Runtime, ClusterState] = {}
    monkeypatch.setattr(model_verdict, "observe", observe_once)
    with pytest.raises(Lost):
        with_late_commands()


# Mutations of what is concluded about disks and addresses


def test_finds_out_a_source_that_came_back_with_an_older_disk(monkeypatch: Patch) -> None:
    monkeypatch.setattr(source, "_kept", lambda *_: True)
    with pytest.raises(Lost, match="missing"):
        with_older_disk()


def test_finds_out_a_record_of_another_cluster_that_is_taken_for_ours(monkeypatch: Patch) -> None:
    monkeypatch.setattr(planning, "without_foreign", lambda state, _: state)
    with pytest.raises(Lost):
        with_another_cluster()


def test_finds_out_a_record_of_another_cluster_that_is_ignored(monkeypatch: Patch) -> None:
    def ours(observed: Observation) -> Observation:
        other = observed.record and observed.record.cluster != "redis-1"
        return replace(observed, record=None) if other else observed

    def without_records(state: ClusterState, _: str) -> ClusterState:
        return replace(state, master=ours(state.master), slaves=tuple(map(ours, state.slaves)))

    monkeypatch.setattr(planning, "without_foreign", without_records)
    with pytest.raises(Lost):
        with_another_cluster()


# And the unbroken one is not found out


def test_finds_nothing_in_the_unbroken_ones() -> None:
    from_refusals([two_histories, began_and_consumed, lost_disk, master_away, forced_without_the_master, fenced])
    by_parts()
    with_two()
    with_older_disk()
