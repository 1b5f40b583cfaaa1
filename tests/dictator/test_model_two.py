"""Two dictators over the model, interleaved at every group of commands; each may die or stand still at any of them.

In every state on the way: no two masters took writes apart from each other, and an undisturbed run of every topology
goes through, with all that was acknowledged. So each place to die is tried, too: that run comes after it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.dictator.model_cluster import Cluster
from tests.dictator.model_search import Actor, Found, explore
from tests.dictator.model_verdict import apply, begin, check, check_safe, split_or_lost
from tests.dictator.states import ALL, RECORDED, State, fresh, lagging, running, served

pytestmark = pytest.mark.timeout(600)  # each takes seconds; a busy machine takes its time
# goals of the first and the second dictator; which names they stand for makes no difference
GOALS = ("BC", "BA", "BB")
REACHES = (None, "AB", "AC", "BC")


def dictators(goals: str, reaches: tuple[str | None, str | None]) -> tuple[Actor, ...]:
    return tuple(Actor(partial(apply, master=goal), reach) for goal, reach in zip(goals, reaches, strict=True))


def combinations() -> Iterator[tuple[str, tuple[str | None, str | None]]]:
    """All goals and reaches in which each dictator reaches its wanted master."""
    for goals, one, other in itertools.product(GOALS, REACHES, REACHES):
        if goals[0] in (one or ALL) and goals[1] in (other or ALL):
            yield goals, (one, other)


def assert_nothing_found(result: Found) -> None:
    assert not result.cut, f"more than {result.states} states"
    assert not result.violations, "\n".join(f"{wrong}: {path}" for wrong, path in result.violations.items())


@pytest.mark.parametrize("goals", GOALS)
@pytest.mark.parametrize("state", [served, fresh], ids=lambda state: state.__name__)
def test_two_dictators_lose_nothing_in_any_order(state: State, goals: str) -> None:
    assert_nothing_found(explore(begin(state), dictators(goals, (None, None)), check, switches=1))


@pytest.mark.parametrize(("goals", "reaches"), [("BC", ("AB", None)), ("BA", ("BC", None)), ("BC", ("AB", "AC"))])
def test_a_dictator_that_reaches_two_of_three_loses_nothing(goals: str, reaches: tuple[str | None, str | None]) -> None:
    assert_nothing_found(explore(begin(served), dictators(goals, reaches), check, switches=1))


@pytest.mark.full
@pytest.mark.timeout(20000)
@pytest.mark.parametrize(("goals", "reaches"), list(combinations()))
def test_two_dictators_with_two_switches_in_all_combinations(
    goals: str, reaches: tuple[str | None, str | None], record_property: Callable[[str, object], None]
) -> None:
    result = explore(begin(served), dictators(goals, reaches), check, switches=2, limit=1_000_000)
    record_property("states", result.states)
    record_property("interleavings", result.runs)
    assert_nothing_found(result)


@pytest.mark.full
@pytest.mark.timeout(20000)
@pytest.mark.parametrize("old", [False, True], ids=["7.0", "6.2"])
@pytest.mark.parametrize("state", [fresh, running, lagging, *RECORDED], ids=lambda state: state.__name__)
def test_two_dictators_from_every_start(
    state: State, *, old: bool, record_property: Callable[[str, object], None]
) -> None:
    states = runs = 0
    for goals in GOALS:
        result = explore(begin(state, old=old), dictators(goals, (None, None)), check, switches=1)
        states, runs = states + result.states, runs + result.runs
        assert_nothing_found(result)
    record_property("states", states)
    record_property("interleavings", runs)


# With an accident at any moment beside the two


def flush(cluster: Cluster) -> None:
    cluster.client("flush")


def restart(cluster: Cluster, name: str) -> None:
    cluster.restart(cluster[name])


def lose_disk(cluster: Cluster, name: str) -> None:
    cluster.lose_disk(cluster[name], 0, None)


@pytest.mark.full
@pytest.mark.timeout(20000)
@pytest.mark.parametrize("goals", GOALS)
@pytest.mark.parametrize("accident", [partial(restart, name=name) for name in ALL])
def test_two_dictators_and_an_accident(goals: str, accident: Callable[[Cluster], None]) -> None:
    result = explore(
        begin(served), dictators(goals, (None, None)), check, accidents=(accident,), switches=1, limit=1_000_000
    )
    assert_nothing_found(result)


@pytest.mark.full
@pytest.mark.timeout(20000)
@pytest.mark.parametrize("goals", GOALS)
def test_two_dictators_and_a_flush_lose_nothing(goals: str) -> None:
    """A dictator that died behind a fence whose record a FLUSHALL took leaves what is refused while a slave lags."""
    result = explore(
        begin(served), dictators(goals, (None, None)), split_or_lost, accidents=(flush,), switches=1, limit=1_000_000
    )
    assert_nothing_found(result)


@pytest.mark.full
@pytest.mark.timeout(20000)
@pytest.mark.parametrize("goals", GOALS)
@pytest.mark.parametrize("name", ALL)
def test_two_dictators_and_a_lost_disk_lose_nothing_that_is_left(goals: str, name: str) -> None:
    result = explore(
        begin(served),
        dictators(goals, (None, None)),
        check_safe,
        accidents=(partial(lose_disk, name=name),),
        switches=1,
        limit=1_000_000,
    )
    assert_nothing_found(result)
