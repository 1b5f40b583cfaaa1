"""A model of redis instances, to run the real planner and executor over: no sockets, no clock, accidents on demand.

It states what the servers do as far as the switch depends on it: roles, replication histories as sequences of entries,
partial and full resyncs, the role fence, pauses that expire, configuration on disk. Replication is asynchronous and
lags: it advances only when somebody waits. A client writes before and after every group of commands, to whichever
instance takes its write.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dictator.instance import Instance
from dictator.link import Command, Group, NoAnswer, ServerError
from dictator.observation import FENCE, NO_REPLID

T = TypeVar("T")
R = TypeVar("R")
Address = tuple[str, int]
PROBE = "~probe"
# how many entries a slave applies between two looks: more than the client writes meanwhile, or it would never catch up
STRIDE = 8


class Killed(BaseException):
    """The dictator's process is gone, at this instant: no handler of its own runs."""


@dataclass
class Redis:
    """One modelled instance. `log` is all that it has applied; its offset is `base` + the entries of the log."""

    instance: Instance
    run_id: str
    replid: str
    log: list[str] = field(default_factory=list)
    base: int = 0
    replid2: str = NO_REPLID
    fork: int = -2
    following: Address | None = None
    link: bool = False
    paused_until: float = 0.0
    on_disk: Address | None = None
    alive: bool = True

    @property
    def offset(self) -> int:
        return self.base + len(self.log)

    @property
    def keys(self) -> int:
        return sum(entry != PROBE for entry in self.log)

    @property
    def parked(self) -> bool:
        return self.following == FENCE


class Runtime:
    """Implements dictator.link.Runtime over modelled instances.

    Moments count the dictator's command groups in halves: 2k is before group k is done, 2k + 1 after. At `kill_at` it
    dies, at `stall_at` it stands still for so long that every pause expires, while the client and the slaves go on;
    `arrival` is the moment of a client's first write, and the instance that it goes to. `old` models Redis 6.2, which
    drops its slaves when it is fenced.
    """

    def __init__(self, *, old: bool = False) -> None:
        self.nodes: dict[Address, Redis] = {}
        self.time = 0.0
        self.deadline = math.inf
        self.old = old
        self.stall_at: int | None = None
        self.arrival: tuple[int, Address] | None = None
        self.kill_at: int | None = None
        self.groups = 0
        self.acked: list[str] = []
        self.refused: list[str] = []
        self.known: Address | None = None
        self.clients_try: tuple[Address, ...] = ()
        self._ids = itertools.count(1)

    # The instances

    def add(self, name: str, entries: Iterable[str] = ()) -> Redis:
        instance = Instance(name, name, 6379)
        node = Redis(instance, f"run-{name}", self.replid(), list(entries))
        self.nodes[instance.address] = node
        return node

    def replid(self) -> str:
        return f"{next(self._ids):040x}"

    def copy(self) -> Runtime:
        return copy.deepcopy(self)

    def shape(self) -> tuple[object, ...]:
        """The state but for its numbers: equal for worlds in which only more or fewer writes have been made."""
        nodes = list(self.nodes.values())
        ids = list(dict.fromkeys(each for node in nodes for each in (node.replid, node.replid2)))
        marks = sorted({mark for node in nodes for mark in (node.offset, node.fork)})
        return tuple(
            (
                *(node.following, node.link, node.on_disk, node.alive, node.keys > 0, node.paused_until > self.time),
                *(ids.index(node.replid), ids.index(node.replid2), marks.index(node.offset), marks.index(node.fork)),
            )
            for node in nodes
        )

    def restart(self, node: Redis) -> None:
        """From its append-only file: the data is all there, the replication id is not."""
        node.run_id = f"run-{next(self._ids)}"
        node.replid, node.replid2, node.fork = self.replid(), NO_REPLID, -2
        node.base = -len(node.log)
        node.following, node.link, node.paused_until = node.on_disk, False, 0.0

    def writable(self, node: Redis) -> bool:
        return node.alive and node.following is None and self.time >= node.paused_until

    # The client

    def client_writes(self) -> None:
        """One write, to the instance that took the last one, or else to the first in `clients_try` that takes it."""
        entry = f"w{next(self._ids)}"
        for address in dict.fromkeys(filter(None, (self.known, *self.clients_try))):
            node = self.nodes[address]
            if self.writable(node):
                node.log.append(entry)
                self.acked.append(entry)
                self.known = address
                return
        self.refused.append(entry)

    # Replication

    def settled(self) -> bool:
        """Whether no slave has anything left to do; as true of slaves of nothing."""
        before = [(node.link, node.offset) for node in self.nodes.values()]
        self.advance()
        return before == [(node.link, node.offset) for node in self.nodes.values()]

    def advance(self) -> None:
        """Every slave gets one step further: connects, or applies some entries."""
        for node in self.nodes.values():
            master = self.nodes.get(node.following) if node.following else None
            if not node.alive or node.following is None or self.time < node.paused_until:
                continue
            if master is None or not master.alive:
                node.link = False
            elif not node.link:
                self._connect(node, master)
            else:
                done = node.offset - master.base
                node.log += master.log[done : done + STRIDE]

    def _connect(self, node: Redis, master: Redis) -> None:
        if master.following is not None and not master.link:
            return  # -NOMASTERLINK
        known = (node.replid == master.replid and node.offset <= master.offset) or (
            node.replid == master.replid2 and node.offset <= master.fork
        )
        if known and node.base == master.base:
            if node.replid != master.replid:
                node.replid2, node.fork, node.replid = node.replid, node.offset, master.replid
                self._drop_slaves(node)
        else:
            node.log, node.base = list(master.log), master.base
            node.replid, node.replid2, node.fork = master.replid, NO_REPLID, -2
            self._drop_slaves(node)
        node.link = True

    def _drop_slaves(self, node: Redis) -> None:
        for other in self.nodes.values():
            if other.following == node.instance.address:
                other.link = False

    # The commands

    def replicaof(self, node: Redis, wanted: Address | None) -> None:
        if wanted == node.following:
            return
        if wanted is None:
            node.replid2, node.fork, node.replid = node.replid, node.offset, self.replid()
            self._drop_slaves(node)
        elif wanted != FENCE or self.old:
            self._drop_slaves(node)
        node.following, node.link = wanted, False

    def answer(self, node: Redis, command: Command) -> Any:  # noqa: C901, PLR0911 - one case for each command
        match command:
            case ("REPLICAOF", "NO", "ONE"):
                self.replicaof(node, None)
                return "OK"
            case ("REPLICAOF", str(host), int(port)):
                self.replicaof(node, (host, port))
                return "OK"
            case ("CONFIG", "REWRITE"):
                node.on_disk = node.following
                return "OK"
            case ("CLIENT", "PAUSE", int(ms), "WRITE"):
                node.paused_until = max(node.paused_until, self.time + ms / 1000)
                return "OK"
            case ("CLIENT", "UNPAUSE"):
                node.paused_until = 0.0
                return "OK"
            case ("PUBLISH", _, _):
                self.time = max(self.time, node.paused_until)  # it waits as a write does
                node.log.append(PROBE)
                return 0
            case ("INFO", str(section)):
                return self._info(node, section)
            case ("CONFIG", "GET", "min-replicas-to-write"):
                return ["min-replicas-to-write", "0"]
            case ("CONFIG", "GET", "replica-read-only"):
                return ["replica-read-only", "yes"]
            case ("PUBSUB", "NUMSUB", str(channel)):
                return [channel, 0]
        return ServerError(f"ERR unknown command {command!r}")

    def _info(self, node: Redis, section: str) -> dict[str, str]:
        if section == "server":
            return {"run_id": node.run_id, "redis_version": "6.2.14" if self.old else "7.0.15"}
        if section == "keyspace":
            return {"db0": f"keys={node.keys},expires=0,avg_ttl=0"} if node.keys else {}
        if section != "replication":
            return {}
        fields = {
            "role": "master" if node.following is None else "slave",
            "master_replid": node.replid,
            "master_replid2": node.replid2,
            "master_repl_offset": str(node.offset),
            "second_repl_offset": str(node.fork + 1),
            "repl_backlog_active": "1",
            "repl_backlog_first_byte_offset": str(node.base),
        }
        if node.following is not None:
            host, port = node.following
            fields |= {"master_host": host, "master_port": str(port), "slave_repl_offset": str(node.offset)}
            fields |= {"master_link_status": "up" if node.link else "down", "master_sync_in_progress": "0"}
        return fields

    # dictator.link.Runtime

    def link(self, instance: Instance) -> ModelLink:
        return ModelLink(self, instance)

    def take_over(self, instances: Iterable[Instance]) -> dict[Instance, NoAnswer]:
        return {}

    def send_all(self, groups: Sequence[Group]) -> list[Sequence[Any] | NoAnswer]:
        return [self._outcome(instance, commands) for instance, commands in groups]

    def _outcome(self, instance: Instance, commands: tuple[Command, ...]) -> Sequence[Any] | NoAnswer:
        try:
            return self.link(instance).send(*commands)
        except NoAnswer as error:
            return error

    def now(self) -> float:
        return self.time

    def clock(self) -> int:
        return int(self.time * 1000)

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.advance()

    def map_parallel(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        return [function(item) for item in items]

    def group(self, node: Redis | None, instance: Instance, commands: tuple[Command, ...]) -> list[Any]:
        self._moment(2 * self.groups)
        self.client_writes()
        if node is None or not node.alive:
            self.groups += 1
            raise NoAnswer(f"{instance} doesn't answer: connection refused")
        replies = [self.answer(node, command) for command in commands]
        self.client_writes()
        self._moment(2 * self.groups + 1)
        self.groups += 1
        return replies

    def _moment(self, moment: int) -> None:
        if moment == self.stall_at:
            self.time += 60.0
            for _ in range(3):
                self.client_writes()
                self.advance()
        if self.arrival is not None and moment == self.arrival[0]:
            self.clients_try = (self.arrival[1],)
        if moment == self.kill_at:
            raise Killed


@dataclass(frozen=True)
class ModelLink:
    """A Link to a modelled instance."""

    runtime: Runtime
    instance: Instance

    def send(self, *commands: Command) -> list[Any]:
        return self.runtime.group(self.runtime.nodes.get(self.instance.address), self.instance, commands)
