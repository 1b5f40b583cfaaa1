"""The record is deleted, or everything is flushed, at each group of commands that a switch sends.

What was acknowledged after a FLUSHALL is kept, what it erased stays erased, and it is all healed without force.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from dictator.lineage import KEY
from tests.dictator.group import fill
from tests.dictator.harness import NAMES, PERSISTENT, Harness
from tests.dictator.proxy import Gate
from tests.dictator.sweep import FLAVOURS, THEN, changes, parents, roles, sample, undisturbed

RUNS = 4
COUNT = 20


@pytest.fixture(params=FLAVOURS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    with Harness(tmp_path, request.param, config=PERSISTENT, settings={"pause_timeout": 1.0}) as made:
        yield made


def points(harness: Harness) -> list[tuple[str, int, bool, str]]:
    groups = changes(undisturbed(harness, "plain"))
    return list(itertools.product(("flush", "delete"), groups, (False, True), THEN))


@pytest.mark.timeout(600)
def test_an_erased_record_costs_no_write(harness: Harness) -> None:
    """A sample, shared out among the flavours."""
    problems = [erase(harness, *point) for point in sample(points(harness), RUNS, harness.flavour)]
    assert not any(problems), "\n".join(filter(None, problems))


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_an_erased_record_costs_no_write_whenever_it_is_erased(harness: Harness) -> None:
    problems = [erase(harness, *point) for point in points(harness)]
    assert not any(problems), "\n".join(filter(None, problems))


def erase(harness: Harness, how: str, at: int, after: bool, then: str) -> str:  # noqa: FBT001
    """One run; what was wrong, in words."""
    harness.runs += 1
    cast = roles(harness)
    harness.arrange(parents("plain", cast))
    fill(harness.clients[cast.source], COUNT, f"old:{harness.runs}")
    erased: list[str] = []

    def act() -> bool:
        for name in NAMES:
            with harness.servers[name].client(socket_timeout=0.3) as client:
                try:
                    client.flushall() if how == "flush" else client.delete(KEY)
                    erased.append(name)
                    fill(client, COUNT, f"new:{harness.runs}")
                except redis.RedisError:
                    continue  # a slave, or paused: what was not answered was not done
                break
        return True

    gate = Gate(at, after, act)
    harness.watch(gate)
    result = harness.apply(harness.document(cast.target)).result()
    harness.watch(None)
    wanted = cast[THEN[then]]
    answers = [f"{how} {erased} at {gate.hit}", f"{result['status']} {result['line']}"]
    harness.converge(harness.document(wanted), answers)
    client = harness.clients[wanted]
    kept = client.exists(*(f"new:{harness.runs}:{number}" for number in range(COUNT)))
    undone = client.exists(*(f"old:{harness.runs}:{number}" for number in range(COUNT)))
    problems = harness.wrong(wanted)
    if not answers[-1].startswith("20"):
        problems.append("did not converge without force")
        harness.apply(harness.document(wanted), force=True).result()
    if erased and kept < COUNT:
        problems.append(f"{COUNT - kept} missing")
    if erased and how == "flush" and undone:
        problems.append(f"{undone} that were flushed are back")
    client.flushall()
    return (
        f"{harness.flavour} {cast} {then} {'after' if after else 'before'}: {problems}; {answers}" if problems else ""
    )
