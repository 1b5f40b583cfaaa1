"""The lower bound: the dictator's commands sent over open sockets, without a service and without checks."""

from collections.abc import Iterable

from bench.cells import HOST, SETTLED, Cell
from bench.resp import Command, Connection
from sandbox.process import wait_until

# how often each instance is asked first: the dictator's steps before the pause keep the instances awake, too
WARMED = 20
OBSERVED: tuple[Command, ...] = (
    *(("INFO", section) for section in ("server", "replication", "keyspace", "persistence", "cluster")),
    ("CONFIG", "GET", "min-replicas-to-write"),
    ("CONFIG", "GET", "replica-read-only"),
    ("PUBSUB", "NUMSUB", "__sentinel__:hello"),
    ("GET", "safe-redis:lineage"),
)


class Floor(Cell):
    """The bare handover: pause, drain, fence, drain, promote, release. The slaves are moved afterwards."""

    name = "floor"
    repeats = 5

    def switch(self, new: int) -> None:
        """Do the bare handover."""
        for _ in range(WARMED):
            for link in self.links:
                link.info()
        self.hand_over(new)
        _all(self._others(new), ("REPLICAOF", *self.addresses[new]), ("CONFIG", "REWRITE"))
        self.master = new

    def hand_over(self, new: int) -> None:
        """Move the role. Both instances write it to disk, as they do for the dictator."""
        old, target = self.links[self.master], self.links[new]
        _, info = old.send(("CLIENT", "PAUSE", 2000, "WRITE"), ("INFO", "replication"))
        _drain(target, info)
        *_, info = old.send(("REPLICAOF", HOST, 0), ("CONFIG", "REWRITE"), ("INFO", "replication"))
        _drain(target, info)
        target.send(("REPLICAOF", "NO", "ONE"), ("CONFIG", "REWRITE"))
        old.send(("CLIENT", "UNPAUSE"))
        old.send(("REPLICAOF", *self.addresses[new]), ("CONFIG", "REWRITE"))

    def _others(self, new: int) -> list[Connection]:
        return [link for number, link in enumerate(self.links) if number not in (self.master, new)]


class Bare(Floor):
    """All commands that a switchover by the dictator takes, its rehearsal of the rights left out.

    Observe, name new connections and look for others of that name, observe again, halt the slaves, hand over, and hang
    all under the new master until they are linked. Each group is sent to all instances before the first answer is read.
    """

    name = "bare"

    def switch(self, new: int) -> None:
        """Do the whole switchover."""
        others = self._others(new)
        _all(self.links, *OBSERVED)
        acting = [Connection(*address) for address in self.addresses]
        _all(acting, ("CLIENT", "SETNAME", "bare"), ("CLIENT", "LIST", "TYPE", "normal"), ("CLIENT", "ID"))
        _all(acting, *OBSERVED)
        for link in acting:
            link.close()
        _all(others, ("REPLICAOF", "0.0.0.0", 0))
        self.hand_over(new)
        _all(others, ("REPLICAOF", *self.addresses[new]), ("CONFIG", "REWRITE"))
        followers = [*others, self.links[self.master]]
        wait_until(lambda: _linked(followers), "all are linked to the new master", SETTLED, 0.001)
        self.master = new


def _all(links: Iterable[Connection], *commands: Command) -> list[list[str]]:
    links = list(links)
    for link in links:
        link.write(*commands)
    return [link.read(len(commands)) for link in links]


def _linked(links: Iterable[Connection]) -> bool:
    return all("master_link_status:up" in info for (info,) in _all(links, ("INFO", "replication")))


def _drain(target: Connection, info: str) -> None:
    offset = int(_field(info, "master_repl_offset"))
    while int(target.info()["slave_repl_offset"]) < offset:
        pass


def _field(info: str, name: str) -> str:
    return next(line.partition(":")[2] for line in info.splitlines() if line.startswith(f"{name}:"))
