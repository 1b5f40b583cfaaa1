"""What all sweeps share: where a switch may be hit, the figures, and the roles that go round from run to run."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, TypeVar

from tests.dictator.harness import NAMES, Harness, Outcome
from tests.dictator.proxy import READS, Gate

T = TypeVar("T")
FLAVOURS = ("redis-7.0", "valkey-8.0", "redis-6.2", "redis-8.2", "valkey-9.1")
THEN = {"same": 1, "previous": 0, "third": 2}
"""Which of the roles the topology of the next dictator makes the master."""


class Roles(NamedTuple):
    """Who is what in a run: the source, the target, and the third instance."""

    source: str
    target: str
    third: str


@dataclass
class Figures:
    """Totals of one sweep with one flavour. `decisions` were refused once, and settled by force, with nothing lost."""

    runs: int = 0
    acked: int = 0
    refused: int = 0
    unknown: int = 0
    missing: int = 0
    phantom: int = 0
    stuck: int = 0
    decisions: list[str] = field(default_factory=list)
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Counts one run."""
        self.runs += 1
        self.acked += outcome.tally.acked
        self.refused += outcome.tally.refused
        self.unknown += outcome.tally.unknown
        self.missing += len(outcome.tally.missing)
        self.phantom += len(outcome.tally.phantom)
        self.stuck += bool(outcome.stuck)
        self.decisions += outcome.answers[:1] if outcome.decided else ()
        self.problems += outcome.problems

    def __str__(self) -> str:
        return (
            f"{self.runs} runs, {self.missing} missing, {self.phantom} phantom, {self.stuck} stuck"
            f" ({self.acked} acks, {self.refused} refused, {self.unknown} unknown,"
            f" {len(self.decisions)} settled by force, {self.seconds:.0f} s)"
        )


FIGURES: dict[tuple[str, str], Figures] = {}
"""By the sweep's name and the flavour; told at the end of the test run."""


@contextmanager
def sweeping(name: str, flavour: str) -> Iterator[Figures]:
    """Counts the runs of a sweep, and asserts at the end that nothing was wrong in any of them."""
    figures = FIGURES.setdefault((name, flavour), Figures())
    started = time.monotonic()
    yield figures
    figures.seconds += time.monotonic() - started
    assert not figures.problems, "\n".join(figures.problems)


def roles(harness: Harness) -> Roles:
    """Whoever is master now is the source of the next run, which saves most full resyncs."""
    masters = [name for name in NAMES if harness.info(name)["role"] == "master"]
    at = NAMES.index(masters[0] if masters else NAMES[0])
    return Roles(*(NAMES[(at + offset) % len(NAMES)] for offset in range(len(NAMES))))


def parents(start: str, cast: Roles) -> dict[str, str | None]:
    """Who follows whom before the switch, in the order in which it is to be brought about."""
    source, target, third = cast
    if start == "chained":
        return {source: None, third: source, target: third}
    return {source: None, target: source, third: source}


def undisturbed(harness: Harness, start: str) -> list[str]:
    """The groups of commands that a switch sends."""
    cast = roles(harness)
    harness.arrange(parents(start, cast))
    gate = Gate()
    harness.watch(gate)
    result = harness.apply(harness.document(cast.target)).result()
    harness.watch(None)
    assert result["status"] == 200, result
    return gate.groups


def changes(groups: list[str]) -> list[int]:
    """The places, from 1, of the groups that change something at an instance."""
    return [at for at, label in enumerate(groups, 1) if not set(label.partition(" ")[2].split(" + ")) <= READS]


def sample(points: Sequence[T], count: int, flavour: str) -> list[T]:
    """So many of the points, other ones with each flavour, and always the same ones."""
    return Random(flavour).sample(list(points), k=min(count, len(points)))
