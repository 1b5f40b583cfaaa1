"""A dictator's side of the model: implements dictator.link.Runtime over a modelled cluster.

Each dictator has a runtime of its own, with connections of its own. What happens between two groups of commands is up
to `hook`: it may end the dictator, let time pass, or let another one act.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dictator.instance import Instance
from dictator.link import Command, NoAnswer
from dictator.redis_link import only_reads
from dictator.takeover import take_over
from tests.dictator.model import Redis
from tests.dictator.model_cluster import ENDED, OPEN, Cluster

T = TypeVar("T")
R = TypeVar("R")
Hook = Callable[[int], None]


class Killed(BaseException):
    """The dictator's process is gone, at this instant: no handler of its own runs."""


class Runtime:
    """One run's runtime. Moments count its groups in halves: 2k is before group k is done, 2k + 1 after.

    `reach` names the instances that it can reach; None is all. `fault` breaks the connection at one group: the request
    is lost, or only its reply, or it is cut after the first commands, or it is late: the dictator gets no answer and
    goes on without, or dies, and the group may still arrive.
    `reopens` is a mutation: an acting run opens its broken connections anew.
    """

    def __init__(
        self, cluster: Cluster, name: str = "one", *, reach: str | None = None, hook: Hook | None = None
    ) -> None:
        self.cluster = cluster
        self.name = name
        self.reach = reach
        self.hook = hook
        self.groups = 0
        self.time = 0.0
        self.deadline = float("inf")
        self.acting = False
        self.reopens = False
        self.fault: tuple[int, str, int] | None = None
        self.dying = False
        self.past = 0
        self.spared: set[tuple[str, int]] = set()
        self.taken: set[tuple[str, int]] = set()
        self.broken: set[tuple[str, int]] = set()

    # dictator.link.Runtime

    def link(self, instance: Instance) -> ModelLink:
        return ModelLink(self, instance)

    def now(self) -> float:
        return self.time

    def clock(self) -> int:
        """Above every epoch that was ever written, as a clock is; the same for two that look before either writes."""
        return self.cluster.epoch + 1

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.cluster.time += seconds
        self.cluster.advance()
        self.past = hash((self.past, "sleep"))

    def map_parallel(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        return [function(item) for item in items]

    def send_all(self, groups: Iterable[tuple[Instance, tuple[Command, ...]]]) -> list[Sequence[Any] | NoAnswer]:
        outcomes = [self._try(instance, commands) for instance, commands in groups]
        self.die_if_late()
        return outcomes

    def _try(self, instance: Instance, commands: tuple[Command, ...]) -> Sequence[Any] | NoAnswer:
        try:
            return self.send(instance, commands)
        except NoAnswer as error:
            return error

    def take_over(self, instances: Iterable[Instance], spared: Iterable[Instance] = ()) -> dict[Instance, NoAnswer]:
        self.acting = True
        self.spared = {instance.address for instance in spared}
        outcomes = {instance: self._try(instance, ()) for instance in instances}
        self.die_if_late()
        return {instance: outcome for instance, outcome in outcomes.items() if isinstance(outcome, NoAnswer)}

    # Groups

    def send(self, instance: Instance, commands: tuple[Command, ...]) -> Sequence[Any]:
        if self.acting and instance.address in self.broken and not self.reopens:
            raise NoAnswer(f"the connection to {instance} broke")
        if instance.address in self.spared and not only_reads(commands):
            raise NoAnswer(f"{instance} belongs to another cluster")
        try:
            if self.acting and instance.address not in self.taken | self.spared:
                self._take(instance)
            if not commands:
                return ()
            return self.ask(instance, commands)
        except NoAnswer:
            if self.acting:
                self.taken.add(instance.address)
                connection = (self.name, instance.address)
                # a reset ends it at the server, too, but not before what was sent earlier
                if any(late == connection for late, _ in self.cluster.late):
                    self.broken.add(instance.address)
                else:
                    self.cluster.connections[connection] = ENDED
            raise

    def _take(self, instance: Instance) -> None:
        """As dictator/redis_link.py does it, with the real commands: a connection that broke before is opened anew."""
        if self.cluster.connections.get((self.name, instance.address)) == ENDED:
            del self.cluster.connections[self.name, instance.address]
        steps = take_over(ModelConnection(self, instance), instance, "")  # type: ignore[arg-type]
        for _ in steps:
            raise AssertionError("a modelled connection never waits")
        self.taken.add(instance.address)

    def ask(self, instance: Instance, commands: tuple[Command, ...]) -> Sequence[Any]:
        """Sends one group over the connection: a moment before it, one behind it."""
        self._moment(0)
        try:
            node = self._node(instance)
            replies = self._deliver(node, commands)
        except NoAnswer:
            if not self.cluster.everywhere:
                self.cluster.client()
            self._done(("no answer",))
            raise
        self._moment(1)
        self._done(replies)
        return replies

    def _node(self, instance: Instance) -> Redis:
        connection = (self.name, instance.address)
        node = self.cluster.nodes.get(instance.address)
        if node is None or not node.alive or (self.reach is not None and instance.host not in self.reach):
            raise NoAnswer(f"{instance} doesn't answer: connection refused")
        state = self.cluster.connections.get(connection)
        if state == ENDED and self.acting and not self.reopens:
            raise NoAnswer(f"the connection to {instance} broke: the instance went away, or another dictator took over")
        if state is None or state == ENDED:
            self.cluster.connections[connection] = OPEN
        return node

    def _deliver(self, node: Redis, commands: tuple[Command, ...]) -> Sequence[Any]:
        if not self.dying and (self.fault is None or self.fault[0] != self.groups):
            return self.cluster.execute(node, commands, self.name)
        _, kind, count = self.fault or (0, "late", 1)
        connection = (self.name, node.address)
        if kind == "late":
            self.cluster.late.append((connection, commands))
            self.dying = bool(count)
        elif kind == "reply":
            self.cluster.execute(node, commands, self.name)
        elif kind == "cut":
            self.cluster.execute(node, commands[:count], self.name)
        if kind != "late":
            self.cluster.connections[connection] = ENDED
        raise NoAnswer(f"{node.instance} doesn't answer: timed out")

    def die_if_late(self) -> None:
        """What was sent at once to other instances is on its way as well when it dies."""
        if self.dying:
            raise Killed

    def _moment(self, half: int) -> None:
        if self.hook is not None:
            self.hook(2 * self.groups + half)

    def _done(self, replies: Sequence[Any]) -> None:
        self.groups += 1
        self.past = hash((self.past, digest(replies)))


def digest(reply: Any) -> int:
    """A number for what was answered: all that a dictator knows comes from there."""
    if isinstance(reply, dict):
        return hash(tuple(reply.values()))
    if isinstance(reply, list | tuple):
        return hash(tuple(map(digest, reply)))
    return hash(reply)


@dataclass(frozen=True)
class ModelLink:
    """A Link to a modelled instance."""

    runtime: Runtime
    instance: Instance

    def send(self, *commands: Command) -> Sequence[Any]:
        try:
            return self.runtime.send(self.instance, commands)
        finally:
            self.runtime.die_if_late()


@dataclass(frozen=True)
class ModelConnection:
    """What dictator.takeover asks: one connection to a modelled instance."""

    runtime: Runtime
    instance: Instance

    def ask(self, commands: tuple[Command, ...], _: int) -> Generator[None, None, Sequence[Any]]:
        """The replies, at once."""
        yield from ()
        return self.runtime.ask(self.instance, commands)
