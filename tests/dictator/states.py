"""The states that a cluster of three modelled instances can be in when an apply begins."""

from collections.abc import Callable

from tests.dictator.model import Redis, Runtime

Names = tuple[str, str, str]
ALL: Names = ("A", "B", "C")


def _three(runtime: Runtime) -> tuple[Redis, Redis, Redis]:
    a, b, c = (runtime.add(name) for name in ALL)
    runtime.clients_try = (a.instance.address, b.instance.address, c.instance.address)
    return a, b, c


def _settle(runtime: Runtime) -> None:
    for _ in range(20):
        runtime.advance()


def _write(runtime: Runtime, node: Redis, count: int) -> None:
    for _ in range(count):
        entry = f"w{next(runtime._ids)}"
        node.log.append(entry)
        runtime.acked.append(entry)
    runtime.known = node.instance.address


def _follow(runtime: Runtime, node: Redis, master: Redis) -> None:
    runtime.replicaof(node, master.instance.address)
    node.on_disk = node.following


def fresh(runtime: Runtime) -> None:
    """Three empty masters: the first bring-up."""
    _three(runtime)


def running(runtime: Runtime) -> None:
    """A is the master, B and C are in sync."""
    a, b, c = _three(runtime)
    _write(runtime, a, 3)
    _follow(runtime, b, a)
    _follow(runtime, c, a)
    _settle(runtime)


def lagging(runtime: Runtime) -> None:
    """A is the master; B and C are its slaves, and behind."""
    running(runtime)
    _write(runtime, runtime.nodes["A", 6379], 3)


def chained(runtime: Runtime) -> None:
    """C hangs below B, which hangs below A."""
    a, b, c = _three(runtime)
    _write(runtime, a, 3)
    _follow(runtime, b, a)
    _follow(runtime, c, b)
    _settle(runtime)


def alone(runtime: Runtime) -> None:
    """A holds data; B and C are empty masters that never were slaves."""
    a, _, _ = _three(runtime)
    _write(runtime, a, 3)


def first_sync(runtime: Runtime) -> None:
    """B and C have been told to follow A, and have not synced yet."""
    a, b, c = _three(runtime)
    _write(runtime, a, 3)
    _follow(runtime, b, a)
    _follow(runtime, c, a)


def moved(runtime: Runtime) -> None:
    """A came back with its data under an address that B and C don't follow."""
    running(runtime)
    a = runtime.nodes["A", 6379]
    runtime.restart(a)
    for name in "BC":
        runtime.nodes[name, 6379].following = ("A", 1111)
        runtime.nodes[name, 6379].link = False


def moved_empty(runtime: Runtime) -> None:
    """The same, and there never was any data."""
    a, b, c = _three(runtime)
    for node in (b, c):
        _follow(runtime, node, a)
    _settle(runtime)
    runtime.restart(a)
    for node in (b, c):
        node.following, node.link = ("A", 1111), False
    runtime.known, runtime.clients_try = None, ()


def parked(runtime: Runtime) -> None:
    """A switch died after the fence: A is parked with everything, nobody is a master."""
    running(runtime)
    a = runtime.nodes["A", 6379]
    runtime.replicaof(a, ("127.0.0.1", 0))
    a.on_disk = a.following


def promoted_alone(runtime: Runtime) -> None:
    """A switch died after the promotion: B is the master and has taken writes, A is parked; C was away."""
    parked(runtime)
    b = runtime.nodes["B", 6379]
    runtime.replicaof(b, None)
    b.on_disk = None
    _write(runtime, b, 2)


def promoted(runtime: Runtime) -> None:
    """The same, but C was there, and hangs under B."""
    promoted_alone(runtime)
    _follow(runtime, runtime.nodes["C", 6379], runtime.nodes["B", 6379])
    _settle(runtime)


def ancestor(runtime: Runtime) -> None:
    """A and B are both masters, and B's history goes on from A's end."""
    running(runtime)
    a, b = runtime.nodes["A", 6379], runtime.nodes["B", 6379]
    runtime.replicaof(b, None)
    _write(runtime, b, 2)
    assert a.following is None


def outside(runtime: Runtime) -> None:
    """The master D is not in the list any more; A, B and C are its slaves."""
    nodes = _three(runtime)
    d = runtime.add("D")
    _write(runtime, d, 3)
    for node in nodes:
        _follow(runtime, node, d)
    _settle(runtime)


def slaves_elsewhere(runtime: Runtime) -> None:
    """A is the master; B and C are slaves of D, which is not in the list and holds other data."""
    a, b, c = _three(runtime)
    d = runtime.add("D", ["d1", "d2"])
    _write(runtime, a, 3)
    _follow(runtime, b, d)
    _follow(runtime, c, d)
    _settle(runtime)


# An apply of any of the three as the master must go through from these:
CONVERGING: tuple[Callable[[Runtime], None], ...] = (
    fresh,
    running,
    lagging,
    chained,
    alone,
    first_sync,
    moved,
    moved_empty,
    parked,
    promoted_alone,
    promoted,
    ancestor,
    outside,
    slaves_elsewhere,
)


def two_histories(runtime: Runtime) -> None:
    """A and B both hold data, and neither includes the other."""
    a, b, c = _three(runtime)
    _write(runtime, a, 2)
    _follow(runtime, c, a)
    _settle(runtime)
    _write(runtime, b, 2)


def back_with_writes(runtime: Runtime) -> None:
    """B was promoted from A's history; A has taken writes after that."""
    ancestor(runtime)
    _write(runtime, runtime.nodes["A", 6379], 2)


def empty_master(runtime: Runtime) -> None:
    """A came back without its data, under another address; B and C still hold copies."""
    moved(runtime)
    a = runtime.nodes["A", 6379]
    a.log, a.base = [], 0
    # were it written to before anybody looks, it would be a holder like any other
    runtime.known, runtime.clients_try = None, ()


def cycle(runtime: Runtime) -> None:
    """Nobody is a master: B and C follow each other, A follows B."""
    running(runtime)
    for name, master in (("A", "B"), ("B", "C"), ("C", "B")):
        runtime.replicaof(runtime.nodes[name, 6379], (master, 6379))


def parked_restarted(runtime: Runtime) -> None:
    """A switch died after the promotion, and A, parked, restarted since: its history can't be compared any more."""
    promoted(runtime)
    runtime.restart(runtime.nodes["A", 6379])


def lost_holder(runtime: Runtime) -> None:
    """A, the master, is dead; B and C hold copies."""
    running(runtime)
    runtime.nodes["A", 6379].alive = False
    runtime.known = None


# and from these it must be refused, with all data where it was:
REFUSED: tuple[Callable[[Runtime], None], ...] = (
    two_histories,
    back_with_writes,
    empty_master,
    cycle,
    parked_restarted,
    lost_holder,
)
