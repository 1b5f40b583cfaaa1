"""The real planner and executor over the model: every start, every place to die, every next topology.

Invariant: no acknowledged write is lost, and every history ends converged, or refused with the data untouched.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from itertools import chain, product

import pytest

from dictator.plan import plan
from safe_redis.errors import LostHolder, TopologyError
from tests.dictator.model_accidents import (
    FAULTS,
    Act,
    Fault,
    break_at,
    broken,
    deaths,
    disturbed,
    flush,
    moments,
    pop,
    restart,
    shapes,
    stalls,
    stand_still,
)
from tests.dictator.model_cluster import Cluster
from tests.dictator.model_runtime import Killed, Runtime
from tests.dictator.model_verdict import Lost, Plans, apply, check_converged, check_untouched, finish
from tests.dictator.states import (
    ALL,
    CONVERGING,
    EMPTIED,
    RECORDED,
    REFUSED,
    State,
    began,
    chained,
    fenced,
    fresh,
    lagging,
    outside,
    running,
    served,
)

STARTS = (*CONVERGING, *RECORDED)
# the source is proven by a record alone, or by a history alone
RECORDS_KEPT = tuple(state for state in RECORDED if "flushed" not in state.__name__)
COUNTED = tuple(
    state
    for state in (running, lagging, chained, outside, *RECORDED)
    if "restarted" not in state.__name__ and "moved" not in state.__name__
)
RESTARTS = tuple(partial(restart, name=name) for name in ALL)


def start(state: State, *, old: bool = False) -> Cluster:
    cluster = Cluster(old=old)
    state(cluster)
    return cluster


def die(_: Cluster) -> None:
    raise Killed


def arrivals(state: State, master: str, *, planner: Plans = plan) -> Iterator[Cluster]:
    """Applies during which the first client comes, to any one instance, at any moment; each is checked already."""
    for name in ALL:
        moment, last = 0, 1
        while moment < last:
            cluster = start(state)
            cluster.known, cluster.clients_try = None, ()
            runtime = Runtime(cluster)

            def arrive(now: int, moment: int = moment, cluster: Cluster = cluster, name: str = name) -> None:
                if now == moment:
                    cluster.clients_try = ((name, 6379),)

            runtime.hook = arrive
            try:
                apply(runtime, master, planner=planner)
            except TopologyError as error:
                raise Lost(f"{type(error).__name__}: {error}") from None
            check_converged(cluster, master)
            yield cluster
            moment, last = moment + 1, 2 * runtime.groups


@pytest.mark.parametrize("old", [False, True], ids=["7.0", "6.2"])
@pytest.mark.parametrize("state", STARTS, ids=lambda state: state.__name__)
def test_converges_from_every_start_and_after_every_death(state: State, *, old: bool) -> None:
    cluster = start(state, old=old)
    for master in ALL:
        finish(cluster.copy(), master)
        for left, then in product(deaths(cluster, master), ALL):
            finish(left.copy(), then)


@pytest.mark.parametrize("old", [False, True], ids=["7.0", "6.2"])
@pytest.mark.parametrize("state", [served, fenced, began], ids=lambda state: state.__name__)
@pytest.mark.parametrize("master", ["B", "C"])
def test_converges_after_it_stood_still_at_any_moment(state: State, master: str, *, old: bool) -> None:
    for left, then in product(shapes(stalls(start(state, old=old), master)), ALL):
        finish(left.copy(), then)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}-{fault.count}")
def test_converges_after_a_connection_broke_at_any_group(fault: Fault) -> None:
    for state in (served, fenced):
        for left, then in product(shapes(broken(start(state), "B", fault)), ALL):
            finish(left.copy(), then)


@pytest.mark.parametrize("state", [running, served, fenced], ids=lambda state: state.__name__)
def test_goes_on_without_a_dead_slave(state: State) -> None:
    cluster = start(state)
    cluster["C"].alive = False
    receipt = apply(Runtime(cluster), "B")
    assert receipt.left_out == ["C:6379 (doesn't answer: connection refused)"]
    check_converged(cluster, "B")


@pytest.mark.parametrize("master", ["A", "C"])
def test_waits_for_an_instance_that_a_dead_switch_may_have_promoted(master: str) -> None:
    cluster = start(began)
    cluster["B"].alive = False
    with pytest.raises(LostHolder, match="B:6379"):
        apply(Runtime(cluster), master)
    assert cluster["A"].parked
    cluster["B"].alive = True
    finish(cluster, master)


@pytest.mark.parametrize("state", [fresh, running], ids=lambda state: state.__name__)
@pytest.mark.parametrize("master", ALL)
def test_keeps_the_first_write_of_a_client_that_comes_at_any_moment(state: State, master: str) -> None:
    clusters = list(arrivals(state, master))
    assert sum(len(cluster.acked) for cluster in clusters) > len(clusters)


@pytest.mark.parametrize("state", REFUSED, ids=lambda state: state.__name__)
@pytest.mark.parametrize("master", ALL)
def test_refuses_what_can_not_be_proven_and_touches_no_data(state: State, master: str) -> None:
    cluster = start(state)
    before = {address: list(node.log) for address, node in cluster.nodes.items()}
    with pytest.raises(TopologyError) as refusal:
        apply(Runtime(cluster), master)
    assert refusal.value.status in {409, 503}
    for address, node in cluster.nodes.items():
        assert node.log[: len(before[address])] == before[address]
    if state not in EMPTIED:  # there they were gone before
        check_untouched(cluster)


@pytest.mark.parametrize("state", [*STARTS, *REFUSED], ids=lambda state: state.__name__)
@pytest.mark.parametrize("master", ALL)
def test_force_always_ends_with_the_wanted_master_writable(state: State, master: str) -> None:
    cluster = start(state)
    if not cluster[master].alive:
        with pytest.raises(TopologyError, match="doesn't answer"):
            apply(Runtime(cluster), master, force=True)
        return
    apply(Runtime(cluster), master, force=True)
    cluster.time += 60.0
    assert cluster.writable(cluster[master])
    if state in STARTS:
        check_converged(cluster, master)


def test_converges_after_three_accidents_a_sample() -> None:
    chance = random.Random(20)
    for _ in range(600):
        # a FLUSHALL and a restart together may leave nothing that proves the source: that is refused
        acts = (die, stand_still, pop, *chance.choice(((flush,), RESTARTS)))
        # and so may a restart alone, where there is no record yet
        cluster = start(chance.choice(COUNTED if flush in acts else RECORDS_KEPT), old=chance.random() < 0.5)
        for _ in range(3):
            cluster = one_accident(cluster, chance, acts)
        finish(cluster, chance.choice(ALL))


def one_accident(cluster: Cluster, chance: random.Random, acts: tuple[Act, ...]) -> Cluster:
    """After a run with an accident at a random moment."""
    master, moment = chance.choice(ALL), chance.randrange(100)
    if chance.random() < 0.3:
        return break_at(cluster, master, chance.choice(FAULTS), moment // 2)
    return disturbed(cluster, master, moment, chance.choice(acts))


@pytest.mark.full
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("old", [False, True], ids=["7.0", "6.2"])
@pytest.mark.parametrize("state", STARTS, ids=lambda state: state.__name__)
def test_converges_after_every_pair_of_deaths_and_stalls(state: State, *, old: bool) -> None:
    def accidents(cluster: Cluster, master: str) -> Iterator[Cluster]:
        return chain(deaths(cluster, master), stalls(cluster, master))

    once = shapes(chain.from_iterable(accidents(start(state, old=old), first) for first in ALL))
    twice = shapes(chain.from_iterable(accidents(left, second) for left, second in product(once, ALL)))
    for left, third in product(twice, ALL):
        finish(left.copy(), third)


@pytest.mark.full
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("act", [flush, pop, *RESTARTS])
@pytest.mark.parametrize("state", RECORDED, ids=lambda state: state.__name__)
def test_converges_after_a_restart_a_flush_or_a_pop_at_any_moment(state: State, act: Act) -> None:
    for old, master in product((False, True), ALL):
        cluster = start(state, old=old)
        left = shapes(disturbed(cluster, master, moment, act) for moment in range(moments(cluster, master)))
        for dead in deaths(cluster, master):
            act(dead)
            left.append(dead)
        for one, then in product(shapes(left), ALL):
            finish(one.copy(), then)
