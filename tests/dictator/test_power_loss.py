"""All instances get SIGKILL at once, at each step of a switch, with `appendfsync always`.

What the kernel has taken outlives its process: the page cache stays, which it doesn't in a real loss of power. What is
tested is that roles, records and data come back together, whatever the step.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dictator.harness import DURABLE, Harness
from tests.dictator.sweep import FLAVOURS, changes, sample, sweeping, undisturbed
from tests.dictator.test_server_faults import DEADLINES, run

RUNS = 3


@pytest.fixture(params=FLAVOURS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    with Harness(tmp_path, request.param, config=DURABLE, settings=DEADLINES) as made:
        yield made


@pytest.mark.timeout(600)
def test_a_loss_of_power_costs_no_write(harness: Harness) -> None:
    """A sample: only the groups that change something, shared out among the flavours."""
    points = list(itertools.product(changes(undisturbed(harness, "plain")), (False, True)))
    with sweeping("power loss", harness.flavour) as figures:
        for at, after in sample(points, RUNS, harness.flavour):
            figures.add(run(harness, "power", "source", at, after=after)[0])


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_loss_of_power_costs_no_write_whenever_it_comes(harness: Harness) -> None:
    with sweeping("power loss", harness.flavour) as figures:
        for after in (False, True):
            for at in itertools.count(1):
                outcome, hit = run(harness, "power", "source", at, after=after)
                figures.add(outcome)
                if not hit:
                    break
