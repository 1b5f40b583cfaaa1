"""Interleaves modelled dictators exactly: every order in which their groups of commands can reach the instances.

Each dictator runs in a greenlet that yields before each group. A state is what the instances are and all that each
dictator was answered; a state that was met before is not gone into again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from greenlet import getcurrent, greenlet

from safe_redis.errors import TopologyError
from tests.dictator.model_cluster import Cluster
from tests.dictator.model_runtime import Runtime

Accident = Callable[[Cluster], None]
Run = Callable[[Runtime], object]
Path = tuple[int, ...]
# so many switches between the actors that there is no bound
ANY = 1000


@dataclass(frozen=True)
class Actor:
    """A dictator: what it runs, and which instances it can reach (None: all)."""

    run: Run
    reach: str | None = None
    prepare: Callable[[Runtime], None] = lambda _: None


@dataclass
class Found:
    """What a search went through, and what it found; `paths` are the shortest ones, by the violation."""

    states: int = 0
    runs: int = 0
    cut: bool = False
    violations: dict[str, Path] = field(default_factory=dict)


class _Play:
    """One interleaving: dictators that stand before their next group, and an accident that has or hasn't happened."""

    def __init__(self, start: Cluster, actors: Sequence[Actor], accidents: Sequence[Accident]) -> None:
        self.cluster = start.copy()
        self.cluster.everywhere = True
        self.accidents = accidents
        self.happened = 0
        main = getcurrent()
        self.runtimes = []
        self.tasks = []
        for number, actor in enumerate(actors):
            runtime = Runtime(self.cluster, f"d{number}", reach=actor.reach, hook=lambda half: self._yield(main, half))
            actor.prepare(runtime)
            self.runtimes.append(runtime)
            self.tasks.append(greenlet(lambda actor=actor, runtime=runtime: _guarded(actor, runtime), main))
        for task in self.tasks:
            task.switch()

    @staticmethod
    def _yield(main: greenlet, half: int) -> None:
        if half % 2 == 0:
            main.switch()

    def choices(self) -> list[int]:
        """Who can act next: the dictators by their numbers, an accident after them."""
        choices = [number for number, task in enumerate(self.tasks) if not task.dead]
        if self.happened < len(self.accidents) and choices:
            choices.append(len(self.tasks))
        return choices

    def step(self, number: int) -> None:
        if number == len(self.tasks):
            self.accidents[self.happened](self.cluster)
            self.happened += 1
        else:
            self.tasks[number].switch()

    def key(self) -> int:
        pasts = tuple((runtime.past, task.dead) for runtime, task in zip(self.runtimes, self.tasks, strict=True))
        return hash((self.cluster.key(), pasts, self.happened))

    def close(self) -> None:
        for runtime, task in zip(self.runtimes, self.tasks, strict=True):
            runtime.hook = None
            task.throw()


def _guarded(actor: Actor, runtime: Runtime) -> None:
    try:
        actor.run(runtime)
    except TopologyError:
        return


def explore(
    start: Cluster,
    actors: Sequence[Actor],
    check: Callable[[Cluster], str | None],
    *,
    accidents: Sequence[Accident] = (),
    switches: int = ANY,
    limit: int = 100_000,
    first: bool = False,
) -> Found:
    """Every interleaving with at most so many `switches` between the actors, `check` of every state on the way.

    `first` ends at the first violation; `limit` at so many states.
    """
    start.parted = any(actor.reach for actor in actors)
    search = _Search(check, switches, limit, first=first)
    stack: list[tuple[Path, int]] = [((number,), switches) for number in reversed(range(len(actors)))]
    while stack and not search.result.cut:
        path, left = stack.pop()
        play = _Play(start, actors, accidents)
        for number in path:
            play.step(number)
        stack += search.follow(play, path, left)
        play.close()
    search.result.states = len(search.seen)
    return search.result


class _Search:
    """`seen` has the states that were met, each with the most switches that were left there."""

    def __init__(self, check: Callable[[Cluster], str | None], switches: int, limit: int, *, first: bool) -> None:
        self.check = check
        self.bounded = switches < ANY
        self.limit = limit
        self.first = first
        self.seen: dict[int, int] = {}
        self.result = Found()

    def follow(self, play: _Play, path: Path, left: int) -> list[tuple[Path, int]]:
        """Lets the last actor of the path go on until it is done, then the others; returns the branches on the way."""
        self.result.runs += 1
        branches: list[tuple[Path, int]] = []
        while self._visit(play, path, left) and (choices := play.choices()):
            last = path[-1]
            free = last not in choices or last == len(play.tasks)
            chosen = choices[0] if free else last
            if left > 0 or free:
                branches += [((*path, other), left - (not free)) for other in choices if other != chosen]
            play.step(chosen)
            path = (*path, chosen)
        return branches

    def _visit(self, play: _Play, path: Path, left: int) -> bool:
        """Checks the state if it is new; whether there is something to be found beyond it."""
        key = hash((play.key(), path[-1])) if self.bounded else play.key()
        if self.seen.get(key, -1) >= left:
            return False
        if key not in self.seen and (violation := self.check(play.cluster)):
            known = self.result.violations.get(violation)
            if known is None or len(path) < len(known):
                self.result.violations[violation] = path
        self.seen[key] = left
        self.result.cut = len(self.seen) >= self.limit or (self.first and bool(self.result.violations))
        return not self.result.cut
