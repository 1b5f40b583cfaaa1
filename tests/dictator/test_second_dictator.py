"""A second dictator at work at the same time, at each group of commands that the first one sends.

The first is held up on the way, stands still, is cut off or dies there, and the second applies the same topology or
another one meanwhile. What the first has sent may arrive when the second has finished. Nothing is lost by that, and
there are never two masters. The whole sweep runs with --full; otherwise a sample of it.
"""

import itertools
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.dictator.harness import NAMES, Harness, Outcome
from tests.dictator.proxy import Gate
from tests.dictator.sweep import FLAVOURS, THEN, changes, parents, roles, sample, sweeping, undisturbed
from tests.dictator.watchers import killed_at
from tests.dictator.zygote import Job, Killed, Result

ACCIDENTS = ("held", "stopped", "late", "cut", "beside", "killed")
RUNS = 12


class Point(NamedTuple):
    """Where the second dictator comes in, what happens to the first, and whom the second one makes the master."""

    accident: str
    at: int
    after: bool
    then: str


@pytest.fixture(params=FLAVOURS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    with Harness(tmp_path, request.param, settings={"pause_timeout": 1.0, "follow_timeout": 1.0}) as made:
        yield made


@pytest.mark.timeout(600)
def test_a_second_dictator_costs_no_write(harness: Harness) -> None:
    """A sample: only the groups that change something, shared out among the flavours."""
    points = itertools.product(ACCIDENTS, changes(undisturbed(harness, "plain")), (False, True), THEN)
    with sweeping("second dictator", harness.flavour) as figures:
        for point in sample([Point(*point) for point in points], RUNS, harness.flavour):
            figures.add(meet(harness, "plain", point)[0])


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("start", ["plain", "chained"])
@pytest.mark.parametrize("accident", ACCIDENTS)
def test_a_second_dictator_costs_no_write_wherever_it_comes(harness: Harness, start: str, accident: str) -> None:
    with sweeping("second dictator", harness.flavour) as figures:
        for after, then in itertools.product((False, True), THEN):
            for at in itertools.count(1):
                outcome, hit = meet(harness, start, Point(accident, at, after, then))
                figures.add(outcome)
                if not hit:
                    break


@dataclass
class Meeting:
    """Two dictators: the first, whose document is applied when the gate is hit, and the second, started by the gate."""

    harness: Harness
    point: Point
    document: str
    first: "Future[Job]" = field(default_factory=Future)
    answers: list[str] = field(default_factory=list)
    beside: Job | None = None

    def act(self) -> bool:
        """What happens at the gate; False: nothing is passed on, and the connection is reset."""
        first = self.first.result(10)
        match self.point.accident:
            case "held":
                self._second()
            case "stopped":
                first.signal(signal.SIGSTOP)
                self._second()
                first.signal(signal.SIGCONT)
            case "late":
                first.signal(signal.SIGKILL)
                self._second()
            case "cut":
                self._second()
                return False
            case "beside":
                self.beside = self.harness.apply(self.document)
            case "killed":
                hit = killed_at(self.harness, self.document, Gate(self.point.at, not self.point.after))
                self.answers.append(f"second: killed at {hit}")
        return True

    def _second(self) -> None:
        self._note("second", self.harness.apply(self.document).result())

    def _note(self, who: str, result: Result) -> None:
        self.answers.append(f"{who}: {result['status']} {result['line']}")
        if result["status"] not in (200, 202, 503, 504):
            self.answers.append(f"wrong: {who} answered {result}")

    def finish(self, gate: Gate) -> None:
        """Waits for both; the answers that must not be begin with `wrong`."""
        try:
            self._note("first", self.first.result().result())
        except Killed:
            self.answers.append("first: killed")
        if gate.hit:
            gate.acted.wait(60)
        if self.beside:
            self._note("beside", self.beside.result())
        masters = [name for name in NAMES if self.harness.info(name)["role"] == "master"]
        if len(masters) > 1:
            self.answers.append(f"wrong: {' and '.join(masters)} are both masters")


def meet(harness: Harness, start: str, point: Point) -> tuple[Outcome, bool]:
    """One run, and whether there was such a group of the first dictator's to meet at."""
    harness.runs += 1
    cast = roles(harness)
    harness.arrange(parents(start, cast))
    writers = harness.write(f"run:{harness.runs}", writers=2, interval=0.0002)
    harness.grows(cast.source, writers.key)
    wanted = cast[THEN[point.then]]
    meeting = Meeting(harness, point, harness.document(wanted))
    gate = Gate(point.at, point.after, meeting.act)
    harness.watch(gate)
    meeting.first.set_result(harness.apply(harness.document(cast.target)))
    meeting.finish(gate)
    harness.watch(None)
    answers = [f"met at {gate.hit}", *meeting.answers]
    harness.converge(harness.document(wanted), answers)
    outcome = harness.judge(f"{harness.flavour} {start} {point} {cast}", wanted, writers, answers)
    for answer in meeting.answers:
        if answer.startswith("wrong"):
            outcome = outcome.but(answer)
    if not answers[-1].startswith("20"):
        outcome = outcome.but(f"did not converge: {answers[-1]}")
    return outcome, bool(gate.hit)
