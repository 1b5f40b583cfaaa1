"""What can happen to a modelled run: it dies, stands still, loses a connection; an instance or a client acts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from dictator.plan import plan
from safe_redis.errors import TopologyError
from tests.dictator.model_cluster import Cluster, changes
from tests.dictator.model_runtime import Killed, Runtime
from tests.dictator.model_verdict import Lost, Plans, apply, check_converged

Act = Callable[[Cluster], None]


def moments(cluster: Cluster, master: str, *, planner: Plans = plan) -> int:
    """How many moments an undisturbed run has."""
    runtime = Runtime(cluster.copy())
    apply(runtime, master, planner=planner)
    return 2 * runtime.groups


def deaths(cluster: Cluster, master: str, *, planner: Plans = plan) -> Iterator[Cluster]:
    """What a dictator leaves behind that dies, at every moment of a run; states of one shape only once."""
    alive = cluster.copy()
    left: dict[object, Cluster] = {}

    def keep(_: int) -> None:
        left.setdefault(alive.shape(), alive.copy())

    apply(Runtime(alive, hook=keep), master, planner=planner)
    yield from left.values()


def disturbed(cluster: Cluster, master: str, moment: int, act: Act, *, planner: Plans = plan) -> Cluster:
    """After a run during which something happened at a moment, whatever that run came to."""
    busy = cluster.copy()

    def act_at(now: int) -> None:
        if now == moment:
            act(busy)

    try:
        apply(Runtime(busy, hook=act_at), master, planner=planner)
    except TopologyError as error:
        if error.status not in {409, 503, 504}:
            raise Lost(f"{type(error).__name__}: {error}") from None
    except Killed:
        pass
    return busy


def stand_still(cluster: Cluster) -> None:
    """A minute passes: every pause expires, while the clients and the slaves go on."""
    cluster.time += 60.0
    for _ in range(3):
        cluster.client()
        cluster.advance()


def stalls(cluster: Cluster, master: str, *, planner: Plans = plan) -> Iterator[Cluster]:
    """After a run that stood still, at every moment. Its deadlines may have run out, and then it rolled back."""
    for moment in range(moments(cluster, master, planner=planner)):
        slow = cluster.copy()
        runtime = Runtime(slow)

        def stall(now: int, moment: int = moment, runtime: Runtime = runtime, slow: Cluster = slow) -> None:
            if now == moment:
                stand_still(slow)
                runtime.time += 60.0

        runtime.hook = stall
        try:
            apply(runtime, master, planner=planner)
        except TopologyError as error:
            if error.status not in {503, 504}:
                raise Lost(f"{type(error).__name__}: {error}") from None
        else:
            check_converged(slow.copy(), master)
        yield slow


@dataclass(frozen=True)
class Fault:
    """A connection that breaks at one group: the request is lost, its reply, or a part of it."""

    kind: str
    count: int = 0


FAULTS = (Fault("request"), Fault("reply"), *(Fault("cut", count) for count in range(1, 6)))


def broken(cluster: Cluster, master: str, fault: Fault, *, planner: Plans = plan) -> Iterator[Cluster]:
    """After a run with one connection broken at one group of commands, for each group."""
    for group in range(moments(cluster, master, planner=planner) // 2):
        yield break_at(cluster, master, fault, group, planner=planner)


def break_at(cluster: Cluster, master: str, fault: Fault, group: int, *, planner: Plans = plan) -> Cluster:
    left = cluster.copy()
    runtime = Runtime(left)
    runtime.fault = (group, fault.kind, fault.count)
    try:
        apply(runtime, master, planner=planner)
    except TopologyError as error:
        if error.status not in {409, 503, 504}:
            raise Lost(f"{type(error).__name__}: {error}") from None
    return left


def delayed(cluster: Cluster, master: str, *, dies: bool) -> Iterator[Cluster]:
    """What a dictator leaves that got no answer to a group which is still on its way: it went on, or it is dead."""
    for group in range(moments(cluster, master) // 2):
        left = cluster.copy()
        runtime = Runtime(left, "late")
        runtime.fault = (group, "late", int(dies))
        with suppress(TopologyError, Killed):
            apply(runtime, master)
        if any(changes(commands) for _, commands in left.late):
            yield left


def restart(cluster: Cluster, name: str) -> None:
    cluster.restart(cluster[name])


def flush(cluster: Cluster) -> None:
    cluster.client("flush")


def pop(cluster: Cluster) -> None:
    cluster.client("pop")


def shapes(clusters: Iterable[Cluster]) -> list[Cluster]:
    """One of each shape: what differs in numbers only need not be tried again."""
    distinct: dict[object, Cluster] = {}
    for cluster in clusters:
        distinct.setdefault(cluster.shape(), cluster)
    return list(distinct.values())
