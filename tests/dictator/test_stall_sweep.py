"""The dictator stands still (SIGSTOP) for longer than its pause lasts, at each of its commands, and then goes on.

A pause that expires under a running switch is why it is never relied on: writes are acknowledged meanwhile.
"""

import itertools
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.dictator.harness import Harness, Outcome
from tests.dictator.proxy import Gate
from tests.dictator.sweep import FLAVOURS, changes, parents, roles, sample, sweeping, undisturbed
from tests.dictator.zygote import Job

PAUSE = 0.3
STALL = 0.5
RUNS = 8


@pytest.fixture(params=FLAVOURS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    with Harness(tmp_path, request.param, settings={"pause_timeout": PAUSE}) as made:
        yield made


@pytest.mark.timeout(600)
def test_a_stall_beyond_the_pause_costs_no_write(harness: Harness) -> None:
    """A sample: only the groups that change something, shared out among the flavours."""
    points = list(itertools.product(changes(undisturbed(harness, "plain")), (False, True)))
    with sweeping("stall sweep", harness.flavour) as figures:
        for at, after in sample(points, RUNS, harness.flavour):
            figures.add(stall(harness, "plain", at, after=after)[0])


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("start", ["plain", "chained"])
def test_a_stall_beyond_the_pause_costs_no_write_wherever_it_comes(harness: Harness, start: str) -> None:
    with sweeping("stall sweep", harness.flavour) as figures:
        for after in (False, True):
            for at in itertools.count(1):
                outcome, hit = stall(harness, start, at, after=after)
                figures.add(outcome)
                if not hit:
                    break


def stall(harness: Harness, start: str, at: int, *, after: bool) -> tuple[Outcome, bool]:
    """One run, and whether there was such a group to stand still at."""
    harness.runs += 1
    cast = roles(harness)
    harness.arrange(parents(start, cast))
    writers = harness.write(f"run:{harness.runs}", writers=2, interval=0.0002)
    harness.grows(cast.source, writers.key)
    started: Future[Job] = Future()

    def stand_still() -> bool:
        job = started.result(10)
        job.signal(signal.SIGSTOP)
        time.sleep(STALL)
        job.signal(signal.SIGCONT)
        return True

    gate = Gate(at, after, stand_still)
    harness.watch(gate)
    job = harness.apply(harness.document(cast.target))
    started.set_result(job)
    result = job.result()
    harness.watch(None)
    answers = [f"stalled at {gate.hit}", f"{result['status']} {result['line']}"]
    harness.converge(harness.document(cast.target), answers)
    run = f"{harness.flavour} {start} {at} {'after' if after else 'before'} {cast}"
    outcome = harness.judge(run, cast.target, writers, answers)
    if result["status"] not in (200, 202, 503, 504):
        outcome = outcome.but(f"answered {result}")
    return outcome, bool(gate.hit)
