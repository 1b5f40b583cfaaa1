"""The states that a cluster of three modelled instances can be in when an apply begins."""

from collections.abc import Callable

from tests.dictator.model import Redis, World

Names = tuple[str, str, str]
ALL: Names = ("A", "B", "C")


def _three(world: World) -> tuple[Redis, Redis, Redis]:
    a, b, c = (world.add(name) for name in ALL)
    world.clients_try = (a.instance.address, b.instance.address, c.instance.address)
    return a, b, c


def _settle(world: World) -> None:
    for _ in range(20):
        world.advance()


def _write(world: World, node: Redis, count: int) -> None:
    for _ in range(count):
        entry = f"w{next(world._ids)}"
        node.log.append(entry)
        world.acked.append(entry)
    world.known = node.instance.address


def _follow(world: World, node: Redis, master: Redis) -> None:
    world.replicaof(node, master.instance.address)
    node.on_disk = node.following


def fresh(world: World) -> None:
    """Three empty masters: the first bring-up."""
    _three(world)


def running(world: World) -> None:
    """A is the master, B and C are in sync."""
    a, b, c = _three(world)
    _write(world, a, 3)
    _follow(world, b, a)
    _follow(world, c, a)
    _settle(world)


def lagging(world: World) -> None:
    """A is the master; B and C are its slaves, and behind."""
    running(world)
    _write(world, world.nodes["A", 6379], 3)


def chained(world: World) -> None:
    """C hangs below B, which hangs below A."""
    a, b, c = _three(world)
    _write(world, a, 3)
    _follow(world, b, a)
    _follow(world, c, b)
    _settle(world)


def alone(world: World) -> None:
    """A holds data; B and C are empty masters that never were slaves."""
    a, _, _ = _three(world)
    _write(world, a, 3)


def first_sync(world: World) -> None:
    """B and C have been told to follow A, and have not synced yet."""
    a, b, c = _three(world)
    _write(world, a, 3)
    _follow(world, b, a)
    _follow(world, c, a)


def moved(world: World) -> None:
    """A came back with its data under an address that B and C don't follow."""
    running(world)
    a = world.nodes["A", 6379]
    world.restart(a)
    for name in "BC":
        world.nodes[name, 6379].following = ("A", 1111)
        world.nodes[name, 6379].link = False


def moved_empty(world: World) -> None:
    """The same, and there never was any data."""
    a, b, c = _three(world)
    for node in (b, c):
        _follow(world, node, a)
    _settle(world)
    world.restart(a)
    for node in (b, c):
        node.following, node.link = ("A", 1111), False
    world.known, world.clients_try = None, ()


def parked(world: World) -> None:
    """A switch died after the fence: A is parked with everything, nobody is a master."""
    running(world)
    a = world.nodes["A", 6379]
    world.replicaof(a, ("127.0.0.1", 0))
    a.on_disk = a.following


def promoted_alone(world: World) -> None:
    """A switch died after the promotion: B is the master and has taken writes, A is parked; C was away."""
    parked(world)
    b = world.nodes["B", 6379]
    world.replicaof(b, None)
    b.on_disk = None
    _write(world, b, 2)


def promoted(world: World) -> None:
    """The same, but C was there, and hangs under B."""
    promoted_alone(world)
    _follow(world, world.nodes["C", 6379], world.nodes["B", 6379])
    _settle(world)


def ancestor(world: World) -> None:
    """A and B are both masters, and B's history goes on from A's end."""
    running(world)
    a, b = world.nodes["A", 6379], world.nodes["B", 6379]
    world.replicaof(b, None)
    _write(world, b, 2)
    assert a.following is None


def outside(world: World) -> None:
    """The master D is not in the list any more; A, B and C are its slaves."""
    nodes = _three(world)
    d = world.add("D")
    _write(world, d, 3)
    for node in nodes:
        _follow(world, node, d)
    _settle(world)


def slaves_elsewhere(world: World) -> None:
    """A is the master; B and C are slaves of D, which is not in the list and holds other data."""
    a, b, c = _three(world)
    d = world.add("D", ["d1", "d2"])
    _write(world, a, 3)
    _follow(world, b, d)
    _follow(world, c, d)
    _settle(world)


# An apply of any of the three as the master must go through from these:
CONVERGING: tuple[Callable[[World], None], ...] = (
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


def two_histories(world: World) -> None:
    """A and B both hold data, and neither includes the other."""
    a, b, c = _three(world)
    _write(world, a, 2)
    _follow(world, c, a)
    _settle(world)
    _write(world, b, 2)


def back_with_writes(world: World) -> None:
    """B was promoted from A's history; A has taken writes after that."""
    ancestor(world)
    _write(world, world.nodes["A", 6379], 2)


def empty_master(world: World) -> None:
    """A came back without its data, under another address; B and C still hold copies."""
    moved(world)
    a = world.nodes["A", 6379]
    a.log, a.base = [], 0
    # were it written to before anybody looks, it would be a holder like any other
    world.known, world.clients_try = None, ()


def cycle(world: World) -> None:
    """Nobody is a master: B and C follow each other, A follows B."""
    running(world)
    for name, master in (("A", "B"), ("B", "C"), ("C", "B")):
        world.replicaof(world.nodes[name, 6379], (master, 6379))


def parked_restarted(world: World) -> None:
    """A switch died after the promotion, and A, parked, restarted since: its history can't be compared any more."""
    promoted(world)
    world.restart(world.nodes["A", 6379])


def lost_holder(world: World) -> None:
    """A, the master, is dead; B and C hold copies."""
    running(world)
    world.nodes["A", 6379].alive = False
    world.known = None


# and from these it must be refused, with all data where it was:
REFUSED: tuple[Callable[[World], None], ...] = (
    two_histories,
    back_with_writes,
    empty_master,
    cycle,
    parked_restarted,
    lost_holder,
)
