"""The states that a cluster of three modelled instances can be in when an apply begins."""

from collections.abc import Callable
from typing import Literal

from dictator.lineage import Member, Record, encode
from dictator.observation import FENCE
from tests.dictator.model import PROBE, Entry, Redis
from tests.dictator.model_cluster import Cluster

State = Callable[[Cluster], None]
ALL = ("A", "B", "C")


def _three(cluster: Cluster) -> tuple[Redis, Redis, Redis]:
    a, b, c = (cluster.add(name) for name in ALL)
    cluster.clients_try = (a.instance.address, b.instance.address, c.instance.address)
    return a, b, c


def _settle(cluster: Cluster) -> None:
    cluster.settle()


def _write(cluster: Cluster, node: Redis, count: int) -> None:
    for _ in range(count):
        node.taken += 1
        entry: Entry = ("write", f"{node.instance.name}:{node.taken}")
        node.take(entry)
        cluster.acked.append(entry)
    cluster.known = node.instance.address


def _follow(cluster: Cluster, node: Redis, master: Redis) -> None:
    cluster.replicaof(node, master.instance.address)
    node.on_disk = node.following


def fresh(cluster: Cluster) -> None:
    """Three empty masters: the first bring-up."""
    _three(cluster)


def running(cluster: Cluster) -> None:
    """A is the master, B and C are in sync."""
    a, b, c = _three(cluster)
    _write(cluster, a, 3)
    _follow(cluster, b, a)
    _follow(cluster, c, a)
    _settle(cluster)
    a.take(PROBE)  # a master pings its slaves
    _settle(cluster)


def lagging(cluster: Cluster) -> None:
    """A is the master; B and C are its slaves, and behind."""
    running(cluster)
    _write(cluster, cluster["A"], 3)


def chained(cluster: Cluster) -> None:
    """C hangs below B, which hangs below A."""
    a, b, c = _three(cluster)
    _write(cluster, a, 3)
    _follow(cluster, b, a)
    _follow(cluster, c, b)
    _settle(cluster)


def alone(cluster: Cluster) -> None:
    """A holds data; B and C are empty masters that never were slaves."""
    a, _, _ = _three(cluster)
    _write(cluster, a, 3)


def first_sync(cluster: Cluster) -> None:
    """B and C have been told to follow A, and have not synced yet."""
    a, b, c = _three(cluster)
    _write(cluster, a, 3)
    _follow(cluster, b, a)
    _follow(cluster, c, a)


def moved(cluster: Cluster) -> None:
    """A came back with its data under an address that B and C don't follow."""
    running(cluster)
    a = cluster["A"]
    cluster.restart(a)
    for name in "BC":
        cluster[name].following = ("A", 1111)
        cluster[name].link = False


def moved_empty(cluster: Cluster) -> None:
    """The same, and there never was any data."""
    a, b, c = _three(cluster)
    for node in (b, c):
        _follow(cluster, node, a)
    _settle(cluster)
    cluster.restart(a)
    for node in (b, c):
        node.following, node.link = ("A", 1111), False
    cluster.known, cluster.clients_try = None, ()


def parked(cluster: Cluster) -> None:
    """A switch died after the fence: A is parked with everything, nobody is a master."""
    running(cluster)
    a = cluster["A"]
    cluster.replicaof(a, ("127.0.0.1", 0))
    a.on_disk = a.following


def promoted_alone(cluster: Cluster) -> None:
    """A switch died after the promotion: B is the master and has taken writes, A is parked; C was away."""
    parked(cluster)
    b = cluster["B"]
    cluster.replicaof(b, None)
    b.on_disk = None
    _write(cluster, b, 2)


def promoted(cluster: Cluster) -> None:
    """The same, but C was there, and hangs under B."""
    promoted_alone(cluster)
    _follow(cluster, cluster["C"], cluster["B"])
    _settle(cluster)


def ancestor(cluster: Cluster) -> None:
    """A and B are both masters, and B's history goes on from A's end."""
    running(cluster)
    a, b = cluster["A"], cluster["B"]
    cluster.replicaof(b, None)
    _write(cluster, b, 2)
    assert a.following is None


def outside(cluster: Cluster) -> None:
    """The master D is not in the list any more; A, B and C are its slaves."""
    nodes = _three(cluster)
    d = cluster.add("D")
    _write(cluster, d, 3)
    for node in nodes:
        _follow(cluster, node, d)
    _settle(cluster)


def slaves_elsewhere(cluster: Cluster) -> None:
    """A is the master; B and C are slaves of D, which is not in the list and holds other data."""
    a, b, c = _three(cluster)
    d = cluster.add("D", [("write", "d1"), ("write", "d2")])
    _write(cluster, a, 3)
    _follow(cluster, b, d)
    _follow(cluster, c, d)
    _settle(cluster)


# An apply of any of the three as the master must go through from these:
CONVERGING: tuple[State, ...] = (
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
)


def two_histories(cluster: Cluster) -> None:
    """A and B both hold data, and neither includes the other."""
    a, b, c = _three(cluster)
    _write(cluster, a, 2)
    _follow(cluster, c, a)
    _settle(cluster)
    _write(cluster, b, 2)


def back_with_writes(cluster: Cluster) -> None:
    """B was promoted from A's history; A has taken writes after that."""
    ancestor(cluster)
    _write(cluster, cluster["A"], 2)


def empty_master(cluster: Cluster) -> None:
    """A came back without its data, under another address; B and C still hold copies."""
    moved(cluster)
    a = cluster["A"]
    a.load(())
    # were it written to before anybody looks, it would be a holder like any other
    cluster.known, cluster.clients_try = None, ()


def cycle(cluster: Cluster) -> None:
    """Nobody is a master: B and C follow each other, A follows B."""
    running(cluster)
    for name, master in (("A", "B"), ("B", "C"), ("C", "B")):
        cluster.replicaof(cluster[name], (master, 6379))


def parked_restarted(cluster: Cluster) -> None:
    """A switch died after the promotion, and A, parked, restarted since: its history can't be compared any more."""
    promoted(cluster)
    cluster.restart(cluster["A"])


def lost_holder(cluster: Cluster) -> None:
    """A, the master, is dead; B and C hold copies."""
    running(cluster)
    cluster["A"].alive = False
    cluster.known = None


# With records: what the system itself leaves behind.


def member(name: str) -> Member:
    return Member(name, name, 6379)


def _record(cluster: Cluster, node: Redis, master: str, source: str | None = None, name: str = "redis-1") -> None:
    cluster.epoch += 1
    state: Literal["served", "intended"] = "intended" if source else "served"
    record = Record(name, f"id-of-{name}", cluster.epoch, state, member(master), member(source) if source else None)
    node.take(("record", encode(record)))


def served(cluster: Cluster) -> None:
    """A is the master and has said so, B and C are in sync."""
    running(cluster)
    _record(cluster, cluster["A"], "A")
    cluster.settle()


def intended(cluster: Cluster) -> None:
    """A switch died after its intent: A is the master still, and has taken more writes; C hangs under B."""
    served(cluster)
    _follow(cluster, cluster["C"], cluster["B"])
    _record(cluster, cluster["A"], "B", "A")
    cluster.settle()
    _write(cluster, cluster["A"], 2)


def fenced(cluster: Cluster) -> None:
    """A switch died after the fence: A is parked under its intent, and B has all of it."""
    intended(cluster)
    cluster.settle()
    cluster.replicaof(cluster["A"], FENCE)
    cluster["A"].on_disk = FENCE


def began(cluster: Cluster) -> None:
    """A switch died after the promotion: B is the master under the intent, and has taken writes; A is parked."""
    fenced(cluster)
    cluster.replicaof(cluster["B"], None)
    cluster["B"].on_disk = None
    _write(cluster, cluster["B"], 2)


def began_and_consumed(cluster: Cluster) -> None:
    """The same, and the keys of B have been consumed to the last (V2)."""
    began(cluster)
    b = cluster["B"]
    while b.keys:
        _take(cluster, b, "pop")


def began_and_flushed(cluster: Cluster) -> None:
    """The same, with FLUSHALL: B has no record any more."""
    began(cluster)
    _take(cluster, cluster["B"], "flush")


def began_and_restarted(cluster: Cluster) -> None:
    """A was restarted while it was parked: its history can't be compared any more, its epoch says enough."""
    began(cluster)
    cluster.restart(cluster["A"])


def flushed(cluster: Cluster) -> None:
    """FLUSHALL at the master."""
    served(cluster)
    _take(cluster, cluster["A"], "flush")
    cluster.settle()


def flushed_and_restarted(cluster: Cluster) -> None:
    """FLUSHALL at the master, which came back from its disk: no record is left anywhere, and no key."""
    flushed(cluster)
    cluster.restart(cluster["A"])
    cluster.settle()


def moved_with_record(cluster: Cluster) -> None:
    """The master came back under another address, with its data."""
    served(cluster)
    cluster.restart(cluster["A"])
    for name in "BC":
        cluster[name].following, cluster[name].link = ("A", 1111), False


def cycle_with_record(cluster: Cluster) -> None:
    """Nobody is a master, all are here, and all follow one another."""
    served(cluster)
    for name, master in (("A", "B"), ("B", "C"), ("C", "B")):
        _follow(cluster, cluster[name], cluster[master])
    cluster.known = None


def lifted_and_flushed(cluster: Cluster) -> None:
    """C was lifted out of a cycle and says so; a FLUSHALL took its record before it came to the slaves, which lag."""
    cycle_with_record(cluster)
    c = cluster["C"]
    cluster.replicaof(c, None)
    c.on_disk = None
    for name in "AB":
        _follow(cluster, cluster[name], c)
    cluster.settle()
    _record(cluster, c, "C")
    _take(cluster, c, "flush")


def retired(cluster: Cluster) -> None:
    """D, the master, is not listed any more; A, B and C are its slaves."""
    nodes = _three(cluster)
    d = cluster.add("D")
    _write(cluster, d, 3)
    _record(cluster, d, "D")
    for node in nodes:
        _follow(cluster, node, d)
    cluster.settle()


def leftover(cluster: Cluster) -> None:
    """Another tool's fence was left behind at the master, and a pause."""
    served(cluster)
    cluster["A"].min_replicas = 1_000_001
    cluster["A"].paused_until = cluster.time + 30.0


def _take(cluster: Cluster, node: Redis, kind: str) -> None:
    node.taken += 1
    entry: Entry = (kind, f"{node.instance.name}:{node.taken}")
    if kind == "flush":
        cluster.erased.update(node.log)
    node.take(entry)
    cluster.acked.append(entry)
    cluster.known = node.address


RECORDED: tuple[State, ...] = (
    served,
    intended,
    fenced,
    began,
    began_and_consumed,
    began_and_flushed,
    began_and_restarted,
    flushed,
    flushed_and_restarted,
    moved_with_record,
    cycle_with_record,
    lifted_and_flushed,
    retired,
    leftover,
)


# Refused by the records


def lost_disk(cluster: Cluster) -> None:
    """The master came back without its data; the slaves have not noticed yet."""
    served(cluster)
    cluster.lose_disk(cluster["A"], 0, None)
    cluster.known, cluster.clients_try = None, ()


def older_disk(cluster: Cluster) -> None:
    """The master came back with an older disk, from before its record."""
    served(cluster)
    cluster.lose_disk(cluster["A"], 2, None)


def target_lost_disk(cluster: Cluster) -> None:
    """B may have been promoted, and has come back without a disk; A is parked."""
    began(cluster)
    cluster.lose_disk(cluster["B"], 0, None)
    cluster.known, cluster.clients_try = None, ()


def new_instance_with_a_key(cluster: Cluster) -> None:
    """V3: D, the live master, is retired; A and B are its slaves, and C is new and has one key."""
    a, b, _ = _three(cluster)
    c, d = cluster["C"], cluster.add("D")
    _write(cluster, d, 3)
    for node in (a, b):
        _follow(cluster, node, d)
    cluster.settle()
    _write(cluster, c, 1)
    cluster.known = d.address


def new_instance_with_a_key_and_records(cluster: Cluster) -> None:
    """The same, with records."""
    new_instance_with_a_key(cluster)
    _record(cluster, cluster["D"], "D")
    cluster.settle()


def two_lineages(cluster: Cluster) -> None:
    """C belongs to a cluster of the same name, which was brought up by itself."""
    served(cluster)
    c = cluster["C"]
    cluster.replicaof(c, None)
    c.on_disk = None
    c.load([("write", "c1")])
    c.take(("record", encode(Record("redis-1", "another", 900, "served", member("C")))))


def two_masters(cluster: Cluster) -> None:
    """Somebody has promoted C by hand: A and C have both taken writes."""
    served(cluster)
    cluster.replicaof(cluster["C"], None)
    _write(cluster, cluster["C"], 2)
    _write(cluster, cluster["A"], 2)


def forced_without_the_master(cluster: Cluster) -> None:
    """A was away with writes that nobody else has, B was made the master by force, and A is back, parked or not."""
    served(cluster)
    _write(cluster, cluster["A"], 2)
    cluster.replicaof(cluster["B"], None)
    cluster["B"].on_disk = None
    _record(cluster, cluster["B"], "B")
    _follow(cluster, cluster["C"], cluster["B"])
    cluster.settle()
    _write(cluster, cluster["B"], 1)


def master_away(cluster: Cluster) -> None:
    """C, which can't be reached, is the master with all the data; A and B are new and empty. There are no records."""
    _three(cluster)
    _write(cluster, cluster["C"], 3)
    cluster["C"].alive = False
    cluster.known, cluster.clients_try = None, ()


# from these it must be refused, with all data where it was:
REFUSED: tuple[State, ...] = (
    two_histories,
    back_with_writes,
    empty_master,
    cycle,
    parked_restarted,
    lost_holder,
    slaves_elsewhere,
    lost_disk,
    older_disk,
    target_lost_disk,
    new_instance_with_a_key,
    new_instance_with_a_key_and_records,
    two_lineages,
    two_masters,
    forced_without_the_master,
    master_away,
)
# some of what was acknowledged is lost with a disk before anybody comes
EMPTIED = (empty_master, lost_disk, older_disk, target_lost_disk)
