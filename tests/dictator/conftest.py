"""Groups of instances for the tests, and the figures of the sweeps at the end of the run."""

from collections.abc import Callable, Iterator

import pytest

from sandbox.redis import RedisServer
from tests.dictator.group import Group, fill
from tests.dictator.sweep import FIGURES


@pytest.fixture
def flavour() -> str:
    """Which server the instances of a group are; a module that is for several of them parametrizes it."""
    return "redis-7.0"


@pytest.fixture
def group(start_redis: Callable[..., RedisServer], flavour: str) -> Iterator[Group]:
    """Instances are added by the test."""
    made = Group(start_redis, flavour)
    yield made
    made.close()


@pytest.fixture
def trio(group: Group) -> Group:
    """Instances a, b and c: a is the master of the others, and holds 100 keys."""
    group.add("a", "b", "c")
    fill(group["a"])
    group.follow("a", "b", "c")
    return group


@pytest.fixture
def proxied(trio: Group) -> Group:
    """The trio, with a proxy before each of them, through which they also follow each other."""
    trio.proxy("a", "b", "c")
    trio.follow("a", "b", "c")
    return trio


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for (name, flavour), figures in FIGURES.items():
        terminalreporter.write_line(f"{name}, {flavour}: {figures}")
        for decision in figures.decisions:
            terminalreporter.write_line(f"    settled by force: {decision}")
    for name in dict.fromkeys(name for name, _ in FIGURES):
        of_name = [figures for (case, _), figures in FIGURES.items() if case == name]
        terminalreporter.write_line(
            f"{name}: {sum(part.runs for part in of_name)} runs, {sum(part.missing for part in of_name)} missing, "
            f"{sum(part.phantom for part in of_name)} phantom, {sum(part.stuck for part in of_name)} stuck"
        )
