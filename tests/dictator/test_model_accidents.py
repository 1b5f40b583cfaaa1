"""Late commands, older disks and other clusters' instances, over the model: at every moment of a run, or of two.

What a dictator has sent may arrive after it is dead; a disk may be a copy from before; an address may lead to another
cluster's instance. In every state on the way an undisturbed run is judged as in test_model_two.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import pytest

from tests.dictator.model import Address
from tests.dictator.model_accidents import delayed
from tests.dictator.model_cluster import Cluster
from tests.dictator.model_search import ANY, Accident, Actor, explore
from tests.dictator.model_verdict import apply, begin, check, check_foreign, check_older
from tests.dictator.states import ALL, RECORDED, State, lagging, running, served

pytestmark = pytest.mark.timeout(600)  # each takes seconds; a busy machine takes its time
Record = Callable[[str, object], None]
# whom the other cluster's instance follows
FOREIGN: dict[str, Address | None] = {"none": None, "alive": ("F", 6379), "dead": ("F", 1111)}


def search(
    start: Cluster,
    goals: str,
    judge: Callable[[Cluster], str | None],
    accidents: Sequence[Accident],
    record: Record = lambda *_: None,
) -> None:
    """Every interleaving of one dictator with the accidents, or of two with one switch between them."""
    actors = tuple(Actor(partial(apply, master=goal)) for goal in goals)
    switches = ANY if len(goals) == 1 else 1 + len(accidents)
    result = explore(start, actors, judge, accidents=accidents, switches=switches, limit=1_000_000)
    record("states", result.states)
    record("interleavings", result.runs)
    assert not result.cut, f"more than {result.states} states"
    assert not result.violations, "\n".join(f"{wrong}: {path}" for wrong, path in result.violations.items())


# Late commands


@pytest.mark.parametrize(("goal", "dies"), [("A", True), ("C", True), ("A", False)])
def test_what_a_dictator_had_on_the_way_arrives_at_any_moment_of_the_next_run(goal: str, *, dies: bool) -> None:
    """That one is dead, so that nobody has reset its connections; or it goes on without an answer."""
    for left in delayed(begin(served), "B", dies=dies):
        search(left, goal, check, (Cluster.deliver,))


@pytest.mark.full
@pytest.mark.timeout(20000)
@pytest.mark.parametrize("old", [False, True], ids=["7.0", "6.2"])
@pytest.mark.parametrize("dies", [True, False], ids=["dead", "alive"])
@pytest.mark.parametrize("state", [running, lagging, *RECORDED], ids=lambda state: state.__name__)
def test_late_commands_from_every_start(state: State, record_property: Record, *, dies: bool, old: bool) -> None:
    for first, goals in product("ABC", ("A", "B", "C")):
        for left in delayed(begin(state, old=old), first, dies=dies):
            search(left, goals, check, (Cluster.deliver,), record_property)


@pytest.mark.full
@pytest.mark.timeout(20000)
@pytest.mark.parametrize("dies", [True, False], ids=["dead", "alive"])
@pytest.mark.parametrize("goals", ["BC", "AC", "AB"])
def test_late_commands_arrive_between_two_dictators(goals: str, record_property: Record, *, dies: bool) -> None:
    for left in delayed(begin(served), "B", dies=dies):
        search(left, goals, check, (Cluster.deliver,), record_property)


# Older disks


def copied(name: str) -> tuple[Accident, Accident]:
    """The disk is copied at one moment, and comes back at another."""
    return partial(Cluster.back_up, name=name), partial(Cluster.restore, name=name)


@pytest.mark.parametrize("name", "BC")
def test_an_instance_comes_back_with_an_older_disk_at_any_moment(name: str) -> None:
    # C is neither the source nor the target: nothing may be refused for its sake
    search(begin(served), "B", check if name == "C" else check_older, copied(name))


def test_the_source_comes_back_with_its_first_disk_at_any_moment() -> None:
    start = begin(served)
    start.back_up("A")
    search(start, "B", check_older, copied("A")[1:])


@pytest.mark.full
@pytest.mark.timeout(20000)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("goal", ALL)
@pytest.mark.parametrize("state", [running, lagging, *RECORDED], ids=lambda state: state.__name__)
def test_older_disks_from_every_start(state: State, goal: str, name: str, record_property: Record) -> None:
    search(begin(state), goal, check_older, copied(name), record_property)


@pytest.mark.full
@pytest.mark.timeout(20000)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("goals", ["BC", "BA", "BB"])
def test_an_older_disk_comes_back_between_two_dictators(goals: str, name: str, record_property: Record) -> None:
    start = begin(served)
    start.back_up(name)
    search(start, goals, check_older, copied(name)[1:], record_property)


# Other clusters


def foreign(state: State, name: str, following: Address | None, goals: str, record: Record = lambda *_: None) -> None:
    """From any moment on, an instance's address leads to another cluster's."""
    start = begin(state)
    start.add("F")
    start.replace("F")
    start.lost_disk = False
    judge = partial(check_foreign, strict=name == "C" and state is served)
    search(start, goals, judge, (partial(Cluster.replace, name=name, following=following),), record)


@pytest.mark.parametrize(("name", "following"), [("A", "dead"), ("B", "alive"), ("C", "none")])
def test_an_address_leads_to_another_cluster_from_any_moment_on(name: str, following: str) -> None:
    foreign(served, name, FOREIGN[following], "B")


@pytest.mark.full
@pytest.mark.timeout(20000)
@pytest.mark.parametrize("following", FOREIGN)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("goals", [*ALL, "BC", "BA", "BB"])
def test_an_address_leads_to_another_cluster_under_one_or_two_dictators(
    goals: str, name: str, following: str, record_property: Record
) -> None:
    foreign(served, name, FOREIGN[following], goals, record_property)


@pytest.mark.full
@pytest.mark.timeout(20000)
@pytest.mark.parametrize("following", FOREIGN)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("state", RECORDED, ids=lambda state: state.__name__)
def test_an_address_leads_to_another_cluster_from_every_start(
    state: State, name: str, following: str, record_property: Record
) -> None:
    for goal in ALL:
        foreign(state, name, FOREIGN[following], goal, record_property)
