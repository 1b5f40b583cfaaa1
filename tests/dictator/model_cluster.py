"""A model of a cluster: instances that replicate, clients that write, accidents on demand, and what dictators send.

Replication is asynchronous and lags: it advances only when somebody waits. The dictators' connections belong to the
cluster, because a server ends them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from dictator.instance import Instance
from dictator.lineage import Member, Record, decode, encode
from dictator.link import Command, ServerError
from dictator.observation import FENCE, NO_REPLID
from dictator.takeover import NAME
from tests.dictator.model import PROBE, REWRITE_TICKS, Address, Entry, Redis, allows_oom, written

# how many entries a slave applies between two looks: more than the client writes meanwhile, or it would never catch up
STRIDE = 16
READS = ("INFO", "GET", "PUBSUB", "MULTI", "EXEC", "DISCARD", "ROLE")
TAKING_OVER = ("SETNAME", "LIST", "ID", "KILL")
KEPT = (("CONFIG", "GET"), ("CONFIG", "REWRITE"))
# what another cluster's instance holds
FOREIGN_DATA: tuple[Entry, ...] = (("write", "foreign:1"), ("write", "foreign:2"))
FOREIGN_RECORD: Entry = ("record", encode(Record("redis-2", "foreign", 5000, "served", Member("F", "F", 6379))))
Connection = tuple[str, Address]
# the states of a connection; a dictator that acts has given it a name
OPEN, ACTING, ENDED = "open", "acting", "ended"


def number(dictator: str) -> int:
    """The id of a dictator's connection."""
    return sum(map(ord, dictator))


def epoch(node: Redis) -> int:
    """The epoch of an instance's record; 0 without one."""
    record = decode(node.record or "")
    return record.epoch if record else 0


def changes(commands: tuple[Command, ...]) -> bool:
    """Whether a group changes anything but who is connected."""
    if commands[0][0] == "CLIENT" and commands[0][1] in TAKING_OVER:
        return False
    changing = any(command[0] not in READS and command[:2] not in KEPT for command in commands)
    return changing and commands[-1] != ("DISCARD",)


class Cluster:
    """Instances by address. `connections` says of each that a dictator opened: open, acting, or ended.

    `late` are the groups that are still on the way, each with its connection. `backups` are copies of single disks.
    `touched` are instances of other clusters that a dictator has changed, `forgotten` are writes that an older disk
    lacks without any trace. `parted`: a dictator doesn't reach all instances.

    `everywhere`: a client writes to every master (of those that were `published`, if that is a set), before and after
    each group that changes something; otherwise to one instance, that of its last write, before and after every group.
    """

    def __init__(self, *, old: bool = False) -> None:
        self.nodes: dict[Address, Redis] = {}
        self.old = old
        self.time = 0.0
        self.epoch = 1000
        self.acked: list[Entry] = []
        self.erased: set[Entry] = set()
        self.lost_disk = False
        self.known: Address | None = None
        self.clients_try: tuple[Address, ...] = ()
        self.everywhere = False
        self.published: frozenset[str] | None = None
        self.parted = False
        self.connections: dict[Connection, str] = {}
        self.late: list[tuple[Connection, tuple[Command, ...]]] = []
        self.backups: dict[str, tuple[tuple[Entry, ...], Address | None]] = {}
        self.forgotten: frozenset[Entry] = frozenset()
        self.touched: frozenset[str] = frozenset()

    def add(self, name: str, entries: Iterable[Entry] = ()) -> Redis:
        node = Redis(Instance(name, name, 6379), self.old, log=list(entries))
        self.nodes[node.address] = node
        return node

    def __getitem__(self, name: str) -> Redis:
        return self.nodes[name, 6379]

    def copy(self) -> Cluster:
        other: Cluster = Cluster.__new__(Cluster)
        other.__dict__.update(self.__dict__)
        other.nodes = {address: node.copy() for address, node in self.nodes.items()}
        other.acked, other.erased = self.acked[:], set(self.erased)
        other.connections, other.late = dict(self.connections), self.late[:]
        other.backups = dict(self.backups)
        return other

    def data_key(self) -> tuple[object, ...]:
        """The state of the instances, and what the clients were promised; without the clock."""
        nodes = tuple(node.key(self.time) for node in self.nodes.values())
        promised = (
            len(self.erased),
            self.known,
            self.epoch,
            self.lost_disk,
            self.published,
            self.touched,
            self.forgotten,
        )
        return nodes, promised, tuple(self.on_the_way())

    def key(self) -> tuple[object, ...]:
        """The same, and the dictators' connections."""
        connections = frozenset(self.connections.items()), tuple(self.late)
        return *self.data_key(), *connections, tuple(sorted(self.backups.items()))

    def shape(self) -> tuple[object, ...]:
        """The state but for its numbers: equal for clusters in which only more or fewer writes have been made."""
        nodes = list(self.nodes.values())
        ids = list(dict.fromkeys(replid for node in nodes for replid in (node.replid, node.replid2)))
        marks = sorted({mark for node in nodes for mark in (node.offset, node.fork)})
        records = sorted({node.record for node in nodes if node.record})
        return tuple(
            (
                *(node.following, node.link, node.on_disk, node.alive, node.keys > 0, node.paused_until > self.time),
                *(ids.index(node.replid), ids.index(node.replid2), marks.index(node.offset), marks.index(node.fork)),
                *(node.stale is None, node.backlog is None, node.record and (records.index(node.record), node.record)),
            )
            for node in nodes
        )

    # Clients

    def writable(self, node: Redis) -> bool:
        if not node.alive or node.following is not None or self.time < node.paused_until or node.full:
            return False
        return not node.min_replicas or node.min_replicas <= self.slaves(node)

    def client(self, kind: str = "write") -> None:
        """One write of each client, to whichever instance takes it."""
        if self.everywhere:
            for node in self.nodes.values():
                if node.master and (self.published is None or node.instance.name in self.published):
                    self._write(node, kind)
            return
        for address in dict.fromkeys(filter(None, (self.known, *self.clients_try))):
            if self._write(self.nodes[address], kind):
                self.known = address
                return

    def _write(self, node: Redis, kind: str) -> bool:
        if not self.writable(node):
            return False
        node.taken += 1
        entry = (kind, f"{node.instance.name}:{node.taken}")
        if kind == "flush":
            self.erased.update(node.log)
        node.take(entry)
        if not node.foreign:
            self.acked.append(entry)
        return True

    # Replication

    def slaves(self, node: Redis) -> int:
        return sum(other.following == node.address and other.link for other in self.nodes.values())

    def settle(self) -> None:
        """Waits until no slave has anything left to do."""
        before = None
        while before != (before := [(node.link, node.offset, node.ticks) for node in self.nodes.values()]):
            self.advance()

    def advance(self) -> None:
        """Every slave gets one step further: connects, or applies some entries."""
        for node in self.nodes.values():
            node.ticks = max(0, node.ticks - 1)
            if not node.ticks:
                node.stale = None
            master = self.nodes.get(node.following) if node.following else None
            if not node.alive or node.following is None or self.time < node.paused_until:
                continue
            if master is None or not master.alive:
                node.link = False
            elif not node.link:
                self._connect(node, master)
            else:
                done = node.offset - master.base
                node.apply(master.log[done : done + STRIDE])

    def _connect(self, node: Redis, master: Redis) -> None:
        if master.following is not None and not master.link:
            return  # -NOMASTERLINK
        known = (node.replid == master.replid and node.offset <= master.offset) or (
            node.replid == master.replid2 and node.offset <= master.fork
        )
        if known and master.backlog is not None and node.base == master.base:
            if node.replid != master.replid:
                node.replid2, node.fork, node.replid = node.replid, node.offset, master.replid
                self._drop_slaves(node)
        else:
            self._sync(node, master)
        node.start_backlog()
        node.link = True

    def _sync(self, node: Redis, master: Redis) -> None:
        """A full resync. The slave writes its append-only file anew: until that is done, its disk holds the old one."""
        if master.backlog is None:
            master.replid, master.replid2, master.fork = master.new_id(), NO_REPLID, -2
            master.start_backlog()
        if node.stale is None:
            node.stale = tuple(node.log)
        node.ticks = REWRITE_TICKS
        node.load(master.log, master.base)
        node.replid, node.replid2, node.fork, node.backlog = master.replid, NO_REPLID, -2, None
        self._drop_slaves(node)

    def _drop_slaves(self, node: Redis) -> None:
        for other in self.nodes.values():
            if other.following == node.address:
                other.link = False

    def replicaof(self, node: Redis, wanted: Address | None) -> None:
        if wanted == node.following:
            return
        if wanted is None:
            node.replid2, node.fork, node.replid = node.replid, node.offset, node.new_id()
            self._drop_slaves(node)
        else:
            node.start_backlog()
            if wanted != FENCE or self.old:
                self._drop_slaves(node)
        node.following, node.link = wanted, False

    # Accidents

    def restart(self, node: Redis) -> None:
        """A crash, and a start from the disk: role and data as saved, connections and the replication id gone."""
        node.restart()
        self._cut(node)

    def lose_disk(self, node: Redis, keep: int, role: Address | None) -> None:
        """Comes back with an older disk (`keep` entries of it), or with none, and the role of that time."""
        self.lost_disk = True
        node.load(node.log[:keep])
        node.stale, node.on_disk = None, role
        node.restart()
        self._cut(node)

    def back_up(self, name: str) -> None:
        """Keeps a copy of an instance's disk as it is now."""
        node = self[name]
        self.backups[name] = tuple(node.log if node.stale is None else node.stale), node.on_disk

    def restore(self, name: str) -> None:
        """An instance comes back with the copy of its disk that was kept, and the role of that time.

        If it is the master by its record, and nobody holds a newer one, nothing tells it from what the instance held
        before: its own slaves resync from it by themselves, and nobody can know that they were ahead.
        """
        node = self[name]
        entries, role = self.backups[name]
        self.lost_disk = True
        held = set(node.log)
        node.load(entries)
        record = decode(node.record or "")
        newer = [other for other in self.nodes.values() if other.record and record and epoch(other) > record.epoch]
        if record and not newer and name in {member.name for member in (record.master, record.source) if member}:
            self.forgotten |= held - set(entries)
        node.stale, node.on_disk = None, role
        node.restart()
        self._cut(node)

    def replace(self, name: str, following: Address | None = None) -> None:
        """The address leads to an instance of another cluster from now on; ours is gone."""
        self.lost_disk = True
        old = self[name]
        node = Redis(old.instance, self.old, log=[*FOREIGN_DATA, FOREIGN_RECORD])
        # nothing that it says of itself may be equal to what ours said
        node.run, node.ids, node.taken, node.foreign = 100, 100, 1000, True
        node.replid = node.new_id()
        node.following = node.on_disk = following
        self.nodes[node.address] = node
        self._cut(node)

    def on_the_way(self) -> list[tuple[Connection, tuple[Command, ...]]]:
        """The groups that a server would still carry out: it has not ended their connections."""
        return [(connection, commands) for connection, commands in self.late if self.carries(connection)]

    def carries(self, connection: Connection) -> bool:
        """Whether a server carries out what comes over this connection."""
        return self.connections.get(connection) != ENDED

    def deliver(self) -> None:
        """What was on the way arrives."""
        late, self.late = self.on_the_way(), []
        for connection, commands in late:
            self.execute(self.nodes[connection[1]], commands, connection[0])

    def _cut(self, node: Redis) -> None:
        self._drop_slaves(node)
        for name, address in self.connections:
            if address == node.address:
                self.connections[name, address] = ENDED

    # What dictators send

    def execute(self, node: Redis, commands: tuple[Command, ...], dictator: str) -> list[Any]:
        if commands[0][0] == "CLIENT" and commands[0][1] in TAKING_OVER:
            return [self._client(dictator, node.address, command) for command in commands]
        changing = changes(commands)
        if changing and node.foreign:
            self.touched |= {node.instance.name}
        if changing or not self.everywhere:
            self.client()
        replies = self._group(node, commands)
        if changing or not self.everywhere:
            self.client()
        return replies

    def _client(self, dictator: str, address: Address, command: Command) -> Any:
        """The commands by which a dictator ends the connections of others, as Redis has them."""
        mine = dictator, address
        match command:
            case ("CLIENT", "SETNAME", _):
                self.connections[mine] = ACTING
                return "OK"
            case ("CLIENT", "ID"):
                return number(dictator)
            case ("CLIENT", "LIST", *_):
                return "".join(
                    f"id={number(name)} addr=127.0.0.1:1 name={NAME if state == ACTING else ''} age=1\n"
                    for (name, where), state in sorted(self.connections.items())
                    if where == address and state != ENDED
                )
            case ("CLIENT", "KILL", "ID", wanted):
                for name, where in self.connections:
                    if where == address and str(number(name)) == str(wanted):
                        self.connections[name, where] = ENDED
                return 1
        return ServerError("ERR syntax error")

    def _group(self, node: Redis, commands: tuple[Command, ...]) -> list[Any]:
        replies: list[Any] = []
        queue: list[Command] | None = None
        broken = False
        for command in commands:
            if command == ("MULTI",):
                queue, broken = [], False
                replies.append("OK")
            elif command == ("EXEC",):
                replies.append(self._exec(node, queue or [], broken=broken))
                queue = None
            elif command == ("DISCARD",):
                queue = None
                replies.append("OK")
            elif queue is not None:
                refusal = self._denied(node, command)
                broken = broken or refusal is not None
                queue.append(command)
                replies.append(refusal or "QUEUED")
            else:
                replies.append(self.answer(node, command))
        return replies

    def _exec(self, node: Redis, queue: list[Command], *, broken: bool) -> Any:
        if broken:
            return ServerError("EXECABORT Transaction discarded because of previous errors.")
        return [self.answer(node, command) for command in queue]

    def _denied(self, node: Redis, command: Command) -> ServerError | None:
        if written(command) is None:
            return None
        return node.denied(allow_oom=allows_oom(command) and not self.old, slaves=self.slaves(node))

    def answer(self, node: Redis, command: Command) -> Any:  # noqa: C901, PLR0911, PLR0912 - one case for each command
        match command:
            case ("INFO", str(section)):
                return node.info(section, self.slaves(node))
            case ("GET", _):
                return node.record
            case ("ROLE",):
                if node.following is None:
                    return ["master", node.offset, []]
                return ["slave", *node.following, "connected" if node.link else "connect", node.offset]
            case ("REPLICAOF", "NO", "ONE"):
                self.replicaof(node, None)
                return "OK"
            case ("REPLICAOF", str(host), int(port)):
                self.replicaof(node, (host, port))
                return "OK"
            case ("CONFIG", "REWRITE"):
                node.on_disk = node.following
                return "OK"
            case ("CONFIG", "GET", *names):
                return [text for name in names for text in node.config(str(name))]
            case ("CONFIG", "SET", "min-replicas-to-write", value):
                node.min_replicas = int(value)
                return "OK"
            case ("CLIENT", "PAUSE", int(ms), "WRITE"):
                node.paused_until = max(node.paused_until, self.time + ms / 1000)
                return "OK"
            case ("CLIENT", "UNPAUSE"):
                node.paused_until = 0.0
                return "OK"
            case ("PUBLISH", _, _):
                self.time = max(self.time, node.paused_until)  # it waits as a write does
                if node.master:
                    node.take(PROBE)
                return 0
            case ("PUBSUB", "NUMSUB", str(channel)):
                return [channel, 0]
            case ("ACL", "WHOAMI"):
                return "default"
            case ("ACL", "DRYRUN", *_):
                return "OK"
        return self._record(node, command)

    def _record(self, node: Redis, command: Command) -> Any:
        text = written(command)
        if text is None or (command[0] == "EVAL" and self.old and allows_oom(command)):
            return ServerError(f"ERR unknown command {command!r}")
        self.time = max(self.time, node.paused_until)
        refusal = self._denied(node, command)
        if refusal is None:
            node.take(("record", text))
            match = re.search(r'"epoch":(\d+)', text)
            self.epoch = max(self.epoch, int(match[1]) if match else 0)
        return refusal or "OK"
