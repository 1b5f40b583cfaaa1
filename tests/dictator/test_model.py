"""The real planner and executor over the model: every start, every place to die, every next topology.

Invariant: no acknowledged write is lost, and every history ends converged, or refused with the data untouched.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, product

import pytest

from dictator.apply import converge
from dictator.instance import Instance
from dictator.observe import observe
from dictator.plan import Plan, plan
from dictator.receipt import Receipt
from dictator.settings import Settings
from dictator.state import ClusterState
from dictator.steps import Drain, Fence, HandOver, Park, Promote, Step
from safe_redis.errors import LostHolder, TopologyError
from tests.dictator.model import PROBE, Killed, Runtime
from tests.dictator.states import ALL, CONVERGING, REFUSED, empty_master, fresh, parked, promoted, running

State = Callable[[Runtime], None]
Planner = Callable[..., Plan]
SETTINGS = Settings(sync_timeout=5.0, follow_timeout=5.0)


class Lost(AssertionError):
    """The invariant is broken."""


def apply(runtime: Runtime, master: str, *, planner: Planner = plan, force: bool = False) -> Receipt:
    receipt = Receipt(master=master)
    wanted = Instance(master, master, 6379)
    slaves = tuple(Instance(name, name, 6379) for name in ALL if name != master)
    converge(runtime, SETTINGS, lambda: observe(runtime, wanted, slaves), receipt, force=force, planner=planner)
    return receipt


def killed(runtime: Runtime, master: str, moment: int, *, planner: Planner = plan) -> Runtime | None:
    """The runtime after a dictator that died at `moment`; None if it was done by then."""
    dead = runtime.copy()
    dead.kill_at, dead.groups = moment, 0
    try:
        apply(dead, master, planner=planner)
    except Killed:
        dead.kill_at = None
        return dead
    return None


def stalled(runtime: Runtime, master: str, moment: int, *, planner: Planner = plan) -> Runtime | None:
    """The runtime after an apply that stood still at `moment`; None if it was done by then.

    Its deadlines may have run out, and then it must have rolled back.
    """
    slow = runtime.copy()
    slow.stall_at, slow.groups = moment, 0
    try:
        apply(slow, master, planner=planner)
    except TopologyError as error:
        if error.status not in (503, 504):
            raise Lost(f"{type(error).__name__}: {error}") from None
    else:
        check_converged(slow, master)
    return slow if slow.groups * 2 > moment else None


def accidents(runtime: Runtime, master: str, *, planner: Planner = plan) -> Iterator[Runtime]:
    """What is left after a dictator that died, and after one that stood still, at every moment of an apply."""
    for accident in (killed, stalled):
        moment = 0
        while (left := accident(runtime, master, moment, planner=planner)) is not None:
            left.stall_at = None
            yield left
            moment += 1


def arrivals(state: State, master: str, *, planner: Planner = plan) -> Iterator[Runtime]:
    """Applies during which the first client comes, to any one instance, at any moment; each is checked already."""
    for name in ALL:
        moment, groups = 0, 1
        while moment < 2 * groups:
            runtime = start(state)
            runtime.known, runtime.clients_try = None, ()
            runtime.arrival = (moment, (name, 6379))
            finish(runtime, master, planner=planner)
            yield runtime
            moment, groups = moment + 1, runtime.groups


def check_converged(runtime: Runtime, master: str) -> None:
    """After a successful apply: all that was acknowledged is there, and all follow a writable master."""
    runtime.time += 60.0
    runtime.client_writes()
    while not runtime.settled():
        runtime.advance()
    node = runtime.nodes[master, 6379]
    if not runtime.writable(node):
        raise Lost(f"{master} is not writable")
    for name in ALL:
        other = runtime.nodes[name, 6379]
        wanted = None if name == master else node.instance.address
        if not other.alive:
            continue
        if other.following != wanted or (wanted and not other.link):
            raise Lost(f"{name} follows {other.following}, link {other.link}")
        check_data(other.log, runtime)


def check_data(log: list[str], runtime: Runtime) -> None:
    missing = set(runtime.acked) - set(log)
    phantom = set(runtime.refused) & set(log)
    twice = len([e for e in log if e != PROBE]) != len({e for e in log if e != PROBE})
    if missing or phantom or twice:
        raise Lost(f"missing {sorted(missing)}, phantom {sorted(phantom)}, twice {twice}")


def check_untouched(runtime: Runtime) -> None:
    """After a refusal: each acknowledged write is still somewhere."""
    held = {entry for node in runtime.nodes.values() for entry in node.log}
    missing = set(runtime.acked) - held
    if missing:
        raise Lost(f"refused, but {sorted(missing)} are gone")


def start(state: State, *, old: bool = False) -> Runtime:
    runtime = Runtime(old=old)
    state(runtime)
    return runtime


def finish(runtime: Runtime, master: str, *, planner: Planner = plan) -> None:
    try:
        apply(runtime, master, planner=planner)
    except TopologyError as error:
        raise Lost(f"{type(error).__name__}: {error}") from None
    check_converged(runtime, master)


@pytest.mark.parametrize("old", [False, True], ids=["7.0", "6.2"])
@pytest.mark.parametrize("state", CONVERGING, ids=lambda state: state.__name__)
@pytest.mark.parametrize("master", ALL)
def test_converges_from_every_start_and_after_every_accident(state: State, master: str, *, old: bool) -> None:
    runtime = start(state, old=old)
    finish(runtime.copy(), master)
    for left in accidents(runtime, master):
        for then in ALL:
            finish(left.copy(), then)


@pytest.mark.parametrize("state", [running, parked], ids=lambda state: state.__name__)
def test_goes_on_without_a_dead_slave(state: State) -> None:
    runtime = start(state)
    runtime.nodes["C", 6379].alive = False
    receipt = apply(runtime, "B")
    assert receipt.left_out == ["C:6379 (doesn't answer: connection refused)"]
    check_converged(runtime, "B")


@pytest.mark.parametrize("master", ["A", "C"])
def test_waits_for_an_instance_that_a_dead_switch_may_have_promoted(master: str) -> None:
    runtime = start(promoted)
    runtime.nodes["B", 6379].alive = False
    with pytest.raises(LostHolder, match="may have promoted B:6379"):
        apply(runtime, master)
    assert runtime.nodes["A", 6379].parked
    runtime.nodes["B", 6379].alive = True
    finish(runtime, master)


@pytest.mark.parametrize("state", [fresh, running], ids=lambda state: state.__name__)
@pytest.mark.parametrize("master", ALL)
def test_keeps_the_first_write_of_a_client_that_comes_at_any_moment(state: State, master: str) -> None:
    worlds = list(arrivals(state, master))
    assert sum(len(runtime.acked) for runtime in worlds) > len(worlds)


@pytest.mark.parametrize("state", REFUSED, ids=lambda state: state.__name__)
@pytest.mark.parametrize("master", ALL)
def test_refuses_what_can_not_be_proven_and_touches_no_data(state: State, master: str) -> None:
    runtime = start(state)
    before = {address: list(node.log) for address, node in runtime.nodes.items()}
    with pytest.raises(TopologyError) as refusal:
        apply(runtime, master)
    assert refusal.value.status in (409, 503)
    for address, node in runtime.nodes.items():
        assert node.log[: len(before[address])] == before[address]
    if state is not empty_master:  # there they were gone before
        check_untouched(runtime)


@pytest.mark.parametrize("state", [*CONVERGING, *REFUSED], ids=lambda state: state.__name__)
@pytest.mark.parametrize("master", ALL)
def test_force_always_ends_with_the_wanted_master_writable(state: State, master: str) -> None:
    runtime = start(state)
    if not runtime.nodes[master, 6379].alive:
        with pytest.raises(TopologyError, match="doesn't answer"):
            apply(runtime, master, force=True)
        return
    apply(runtime, master, force=True)
    runtime.time += 60.0
    assert runtime.writable(runtime.nodes[master, 6379])
    if state in CONVERGING:
        check_converged(runtime, master)


def test_converges_after_two_accidents_a_sample() -> None:
    chance = random.Random(20)
    for _ in range(1500):
        runtime = start(chance.choice(CONVERGING), old=chance.random() < 0.5)
        for _ in range(2):
            accident = chance.choice((killed, stalled))
            runtime = accident(runtime, chance.choice(ALL), chance.randrange(60)) or runtime
            runtime.stall_at = None
        finish(runtime, chance.choice(ALL))


@pytest.mark.full
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("old", [False, True], ids=["7.0", "6.2"])
@pytest.mark.parametrize("state", CONVERGING, ids=lambda state: state.__name__)
def test_converges_after_every_pair_of_accidents(state: State, *, old: bool) -> None:
    once = shapes(accidents(start(state, old=old), first) for first in ALL)
    twice = shapes(accidents(left, second) for left, second in product(once, ALL))
    for left, third in product(twice, ALL):
        finish(left.copy(), third)


def shapes(worlds: Iterable[Iterable[Runtime]]) -> list[Runtime]:
    """One of each shape: what differs in numbers only need not be tried again."""
    found: dict[object, Runtime] = {}
    for runtime in chain.from_iterable(worlds):
        found.setdefault(runtime.shape(), runtime)
    return list(found.values())


# Mutations: each breaks the planner in one way that the tests above must notice.


def without_drain(seen: ClusterState, *, force: bool = False) -> Plan:
    made = plan(seen, force=force)
    return replace(made, steps=tuple(step for step in made.steps if not isinstance(step, Drain)))


def _moved(made: Plan, what: type[Step], before: type[Step]) -> Plan:
    steps = list(made.steps)
    places = [place for place, step in enumerate(steps) if isinstance(step, what)]
    if places:
        step = steps.pop(places[0])
        steps.insert(next(place for place, other in enumerate(steps) if isinstance(other, before)), step)
    return replace(made, steps=tuple(steps))


def promote_before_fence(seen: ClusterState, *, force: bool = False) -> Plan:
    return _moved(plan(seen, force=force), Promote, Fence)


def hand_over_before_promote(seen: ClusterState, *, force: bool = False) -> Plan:
    return _moved(plan(seen, force=force), HandOver, Promote)


def without_ancestor_rule(seen: ClusterState, *, force: bool = False) -> Plan:
    """Plans as if everybody else were empty, and forgets to look again."""
    blind = replace(seen, slaves=tuple(replace(each, keys=0) for each in seen.slaves))
    made = plan(blind, force=force)
    return replace(
        made, steps=tuple(replace(step, forced=True) if isinstance(step, Park) else step for step in made.steps)
    )


def without_fence(seen: ClusterState, *, force: bool = False) -> Plan:
    made = plan(seen, force=force)
    return replace(made, steps=tuple(step for step in made.steps if not isinstance(step, Fence)))


def without_park(seen: ClusterState, *, force: bool = False) -> Plan:
    made = plan(seen, force=force)
    return replace(made, steps=tuple(step for step in made.steps if not isinstance(step, Park)))


MUTATIONS = (
    without_drain,
    promote_before_fence,
    hand_over_before_promote,
    without_ancestor_rule,
    without_fence,
    without_park,
)


def survives(planner: Planner) -> None:
    """The tests above in short, with this planner: raises Lost if it is found out."""
    for master in ALL:
        list(arrivals(fresh, master, planner=planner))
    for state, master, old in product((*CONVERGING, *REFUSED), ALL, (False, True)):
        runtime = start(state, old=old)
        if state in CONVERGING:
            finish(runtime.copy(), master, planner=planner)
            for left in accidents(runtime, master, planner=planner):
                finish(left, master, planner=planner)
        else:
            try:
                apply(runtime, master, planner=planner)
            except TopologyError:
                check_untouched(runtime)
            else:
                check_converged(runtime, master)


@pytest.mark.parametrize("planner", MUTATIONS, ids=lambda planner: planner.__name__)
def test_every_mutation_of_the_planner_is_found_out(planner: Planner) -> None:
    with pytest.raises(Lost):
        survives(planner)


def test_the_planner_itself_is_not() -> None:
    survives(plan)
