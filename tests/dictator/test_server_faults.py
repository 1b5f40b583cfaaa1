"""An instance dies, restarts or stands still, or the link between source and target breaks, at each step of a switch.

The instances keep what they acknowledge (AOF), so that nothing at all may be missing: where a dead source has writes
that nobody else has, the dictator waits for it. What can't be proven after a restart may be refused; force settles
that, and nothing is lost by it either.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dictator.harness import PERSISTENT, Harness, Outcome
from tests.dictator.proxy import Gate
from tests.dictator.sweep import FLAVOURS, Roles, changes, parents, roles, sweeping, undisturbed

DEADLINES = {
    "connect_timeout": 0.4,
    "reply_timeout": 0.4,
    "sync_timeout": 1.5,
    "pause_timeout": 0.6,
    "follow_timeout": 0.4,
}
# a bound for all the waits of one apply, one after the other, on a busy machine
ANSWERED_WITHIN = 30.0
FAULTS = (
    *itertools.product(("kill", "restart", "stop"), ("source", "target", "third")),
    ("cut", "source"),
    ("hush", "source"),
)


@pytest.fixture(params=FLAVOURS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    with Harness(tmp_path, request.param, config=PERSISTENT, settings=DEADLINES) as made:
        yield made


@pytest.mark.timeout(600)
def test_a_fault_of_a_server_costs_no_write(harness: Harness) -> None:
    """A sample: the groups from the pause to the handover, and the faults shared out among the flavours."""
    points = changes(undisturbed(harness, "plain"))[-4:]
    mine = itertools.product(FAULTS, points)
    share = itertools.islice(mine, FLAVOURS.index(harness.flavour), None, len(FLAVOURS))
    with sweeping("server faults", harness.flavour) as figures:
        for (fault, role), at in share:
            figures.add(run(harness, fault, role, at, after=False)[0])


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("fault", "role"), FAULTS)
def test_a_fault_of_a_server_costs_no_write_whenever_it_comes(harness: Harness, fault: str, role: str) -> None:
    points = set(changes(undisturbed(harness, "plain")))
    with sweeping("server faults", harness.flavour) as figures:
        for at in itertools.count(1):
            outcome, hit = run(harness, fault, role, at, after=False)
            figures.add(outcome)
            if at in points:
                figures.add(run(harness, fault, role, at, after=True)[0])
            if not hit:
                break


def run(harness: Harness, fault: str, role: str, at: int, *, after: bool) -> tuple[Outcome, bool]:
    """One run, and whether there was such a group of commands to disturb."""
    harness.runs += 1
    cast = roles(harness)
    harness.arrange(parents("plain", cast))
    victim = cast[Roles._fields.index(role)]
    writers = harness.write(f"run:{harness.runs}", writers=2, interval=0.0002)
    harness.grows(cast.source, writers.key)
    harm, heal = means(harness, fault, victim)

    def act() -> bool:
        harm()
        # who dies after it has done what it was told may die before it says so
        return not (fault in ("kill", "power") and after)

    gate = Gate(at, after, act)
    harness.watch(gate)
    result = harness.apply(harness.document(cast.target)).result()
    harness.watch(None)
    # what a slow act has begun is waited for; a group that was never answered has seen no act
    if gate.hit and gate.acted.wait(10):
        heal()
    answers = [f"{fault} {role} {'after' if after else 'before'} {gate.hit}", f"{result['status']} {result['line']}"]
    harness.converge(harness.document(cast.target), answers)
    decided = answers[-1].startswith("409")
    if decided:
        forced = harness.apply(harness.document(cast.target), force=True).result()
        answers.append(f"forced: {forced['status']} {forced['line']} {forced.get('receipt', {}).get('discarded')}")
        harness.converge(harness.document(cast.target), answers)
    outcome = harness.judge(f"{harness.flavour} {at} {cast}", cast.target, writers, answers, decided=decided)
    if decided and (fault not in ("kill", "restart") or role == "third"):
        outcome = outcome.but("refused without a reason")
    if result["status"] not in (200, 202, 409, 503, 504) or result["seconds"] > ANSWERED_WITHIN:
        outcome = outcome.but(f"answered {result}")
    return outcome, bool(gate.hit)


def means(harness: Harness, fault: str, victim: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """How to do harm, and how to make up for it."""
    server, proxy = harness.servers[victim], harness.proxies[victim]

    def restart() -> None:
        server.kill()
        server.start()

    def kill_all() -> None:
        for server in harness.servers.values():
            server.kill()

    def start_all() -> None:
        for server in harness.servers.values():
            server.start(wait=False)
        for server in harness.servers.values():
            server.wait_ready()

    return {
        "power": (kill_all, start_all),
        "kill": (server.kill, server.start),
        "restart": (restart, lambda: None),
        "stop": (server.pause, server.resume),
        "cut": (proxy.cut_links, proxy.mend),
        "hush": (proxy.hush, proxy.mend),
    }[fault]
