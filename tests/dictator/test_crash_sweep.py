"""The dictator is killed before and after each group of commands that it sends; another one goes on from there.

The servers, the signals and the dictator's code are real, and a client writes all the time. The whole sweep runs with
--full; otherwise a sample of it: each group that changes something, on both sides.
"""

import itertools
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.dictator.harness import Harness, Outcome
from tests.dictator.proxy import Gate
from tests.dictator.sweep import FLAVOURS, THEN, Roles, changes, parents, roles, sample, sweeping, undisturbed
from tests.dictator.zygote import Job, Killed

RUNS = 24


class Point(NamedTuple):
    """Where the dictator dies: at which group, on which side; what the next one is told, and where that one dies."""

    start: str
    at: int
    after: bool
    then: str
    again: int = 0


@pytest.fixture(params=FLAVOURS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    with Harness(tmp_path, request.param, settings={"pause_timeout": 1.0}) as made:
        yield made


@pytest.mark.timeout(600)
def test_a_dead_dictator_costs_no_write(harness: Harness) -> None:
    """A sample: only the groups that change something, shared out among the flavours."""
    points = list(itertools.product(changes(undisturbed(harness, "plain")), (False, True), THEN))
    with sweeping("crash sweep", harness.flavour) as figures:
        for at, after, then in sample(points, RUNS, harness.flavour):
            outcome, _ = crash(harness, Point("plain", at, after, then))
            figures.add(outcome)


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("then", THEN)
@pytest.mark.parametrize("start", ["plain", "chained"])
def test_a_dead_dictator_costs_no_write_wherever_it_dies(harness: Harness, start: str, then: str) -> None:
    with sweeping("crash sweep", harness.flavour) as figures:
        for after in (False, True):
            for at in itertools.count(1):
                outcome, hit = crash(harness, Point(start, at, after, then))
                figures.add(outcome)
                if not hit:
                    break


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_second_dictator_that_dies_too_costs_no_write(harness: Harness) -> None:
    turns = itertools.cycle(THEN)
    with sweeping("crash sweep", harness.flavour) as figures:
        for at, again in itertools.product(changes(undisturbed(harness, "plain")), range(4, 28, 3)):
            outcome, _ = crash(harness, Point("plain", at, after=bool(again % 2), then=next(turns), again=again))
            figures.add(outcome)


def crash(harness: Harness, point: Point) -> tuple[Outcome, bool]:
    """One run, and whether the dictator lived long enough to be killed there."""
    harness.runs += 1
    cast = roles(harness)
    harness.arrange(parents(point.start, cast))
    # another tool's fence on a slave, so that there is something to tidy up
    harness.clients[cast.third].config_set("min-replicas-to-write", 1_000_000 if point.start == "chained" else 0)
    writers = harness.write(f"run:{harness.runs}", writers=2, interval=0.0002)
    harness.grows(cast.source, writers.key)
    hit = killed_at(harness, harness.document(cast.target), point.at, after=point.after)
    answers = [f"killed at {hit}"]
    wanted = Roles(*cast)[THEN[point.then]]
    if point.again:
        answers.append(
            f"killed again at {killed_at(harness, harness.document(wanted), point.again, after=point.after)}"
        )
    harness.converge(harness.document(wanted), answers)
    return harness.judge(f"{harness.flavour} {point} {cast}", wanted, writers, answers), bool(hit)


def killed_at(harness: Harness, document: str, at: int, *, after: bool) -> str:
    """Starts a dictator that gets SIGKILL at a group of commands: which one that was; empty where there is none."""
    started: Future[Job] = Future()

    def kill() -> bool:
        started.result(10).signal(signal.SIGKILL)
        return False

    gate = Gate(at, after, kill)
    harness.watch(gate)
    job = harness.apply(document)
    started.set_result(job)
    try:
        result = job.result()
    except Killed:
        return gate.hit
    finally:
        harness.watch(None)
    assert result["status"] in (200, 202), result
    return gate.hit and f"{gate.hit}, whose answer never came"
