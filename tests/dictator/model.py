"""A model of one redis instance: what a server does as far as the switch depends on it. No sockets, no clock.

A replication history is a list of entries (writes, pops, FLUSHALL, records, probes), each counted as one byte. The
cluster of such instances, its clients and its accidents are in model_cluster.py, a dictator's side in model_runtime.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from dictator.instance import Instance
from dictator.link import Command, ServerError
from dictator.observation import FENCE, NO_REPLID

Address = tuple[str, int]
# what an entry does (write, pop, flush, record, probe) and its name; a record's is the record
Entry = tuple[str, str]
PROBE: Entry = ("probe", "")
KEY = "safe-redis:lineage"
# how many looks at it a rewrite of the append-only file takes after a full resync
REWRITE_TICKS = 2
READONLY = ServerError("READONLY You can't write against a read only replica.")


@dataclass(slots=True)
class Redis:
    """One modelled instance. `log` is all that it has applied; its offset is `base` + the entries of the log.

    `stale` is what its disk holds while the append-only file is being rewritten after a full resync; None says that the
    disk holds everything. Without a backlog (a master that never had a slave) writes don't move the offset.
    """

    instance: Instance
    old: bool = False
    run: int = 0
    ids: int = 0
    taken: int = 0
    log: list[Entry] = field(default_factory=list)
    base: int = 0
    replid: str = ""
    replid2: str = NO_REPLID
    fork: int = -2
    backlog: int | None = None
    following: Address | None = None
    link: bool = False
    paused_until: float = 0.0
    on_disk: Address | None = None
    stale: tuple[Entry, ...] | None = None
    ticks: int = 0
    alive: bool = True
    foreign: bool = False
    min_replicas: int = 0
    full: bool = False
    readable: bool = True
    keys: int = 0
    record: str | None = None

    def __post_init__(self) -> None:
        self.replid = self.replid or self.new_id()
        entries, self.log, self.keys, self.record = self.log, [], 0, None
        self.apply(entries)
        self.base = -len(self.log)

    @property
    def address(self) -> Address:
        return self.instance.address

    @property
    def offset(self) -> int:
        return self.base + len(self.log)

    @property
    def parked(self) -> bool:
        return self.following == FENCE

    @property
    def master(self) -> bool:
        return self.following is None

    def new_id(self) -> str:
        self.ids += 1
        return f"{self.instance.name}{self.ids}".ljust(40, "0")

    def copy(self) -> Redis:
        other: Redis = Redis.__new__(Redis)
        for name in FIELDS:
            setattr(other, name, getattr(self, name))
        other.log = self.log[:]
        return other

    def key(self, now: float) -> tuple[object, ...]:
        """All that makes a difference from now on; the clock only as whether it is paused."""
        return (
            *(self.run, self.ids, self.taken, tuple(self.log), self.base, self.replid, self.replid2, self.fork),
            *(self.backlog, self.following, self.link, self.paused_until > now, self.on_disk, self.stale, self.ticks),
            *(self.alive, self.foreign, self.min_replicas, self.full),
        )

    # Data

    def apply(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.log.append(entry)
            kind, text = entry
            if kind == "write":
                self.keys += 1
            elif kind == "pop":
                self.keys = max(0, self.keys - 1)
            elif kind == "flush":
                self.keys, self.record = 0, None
            elif kind == "record":
                self.record = text or None

    def take(self, entry: Entry) -> None:
        """A write of a client, or a record: an entry of its own history."""
        self.apply((entry,))
        if self.backlog is None:
            self.base -= 1

    def load(self, entries: Iterable[Entry], base: int | None = None) -> None:
        """Replaces all its data; the offset begins anew at 0 unless the base of another's is given."""
        self.log, self.keys, self.record = [], 0, None
        self.apply(entries)
        self.base = -len(self.log) if base is None else base

    def start_backlog(self) -> None:
        if self.backlog is None:
            self.backlog = self.offset + 1

    def restart(self) -> None:
        """From its disk: the data that is there, a new replication id, the role that was saved."""
        self.run += 1
        self.load(self.log if self.stale is None else self.stale)
        self.stale, self.ticks = None, 0
        self.replid, self.replid2, self.fork = self.new_id(), NO_REPLID, -2
        self.following, self.link, self.paused_until, self.backlog = self.on_disk, False, 0.0, None

    # Commands, as far as they concern this instance only

    def denied(self, *, allow_oom: bool = False, slaves: int = 0) -> ServerError | None:
        """Why a write is refused now."""
        if not self.master:
            return READONLY
        if self.min_replicas > slaves:
            return ServerError("NOREPLICAS Not enough good replicas to write.")
        if self.full and not allow_oom:
            return ServerError("OOM command not allowed when used memory > 'maxmemory'.")
        return None

    def config(self, name: str) -> list[str]:
        """CONFIG GET: of several names too, as one list of names and values."""
        values = {
            "min-replicas-to-write": str(self.min_replicas),
            "min-replicas-max-lag": "10",
            "replica-read-only": "yes",
            "maxmemory": "100" if self.full else "0",
            "maxmemory-policy": "noeviction",
            "appendonly": "yes",
            "appendfsync": "always",
        }
        return [name, values[name]] if name in values else []

    def info(self, section: str, slaves: int) -> dict[str, str]:
        """One section of INFO; `slaves` have their link up."""
        match section:
            case "server":
                return {
                    "run_id": f"{self.instance.name}-{self.run}",
                    "redis_version": "6.2.14" if self.old else "7.0.15",
                }
            case "keyspace":
                held = self.keys + (self.record is not None)
                return {"db0": f"keys={held},expires=0,avg_ttl=0"} if held else {}
            case "persistence":
                return self._persistence()
            case "memory":
                return {
                    "used_memory": "200" if self.full else "50",
                    "mem_not_counted_for_evict": "0",
                    "maxmemory": "100" if self.full else "0",
                    "maxmemory_policy": "noeviction",
                }
            case "replication":
                return self._replication(slaves)
        return {}

    def _persistence(self) -> dict[str, str]:
        busy = str(int(self.stale is not None))
        status = {"aof_last_bgrewrite_status": "ok", "aof_last_write_status": "ok", "aof_rewrite_scheduled": "0"}
        return {"loading": "0", "aof_enabled": "1", "aof_rewrite_in_progress": busy, **status}

    def _replication(self, slaves: int) -> dict[str, str]:
        reply = {
            "role": "master" if self.master else "slave",
            "connected_slaves": str(slaves),
            "master_replid": self.replid,
            "master_replid2": self.replid2,
            "master_repl_offset": str(self.offset),
            "second_repl_offset": str(self.fork + 1),
            "repl_backlog_active": str(int(self.backlog is not None)),
            "repl_backlog_first_byte_offset": str(self.backlog or 0),
        }
        if self.following is not None:
            host, port = self.following
            reply |= {"master_host": host, "master_port": str(port), "slave_repl_offset": str(self.offset)}
            reply |= {"master_link_status": "up" if self.link else "down", "master_sync_in_progress": "0"}
        return reply


FIELDS = tuple(field.name for field in fields(Redis))


def written(command: Command) -> str | None:
    """The record that a command writes (SET, or EVAL of a script that sets); None for any other command."""
    match command:
        case ("SET", str(key), str(text)) if key == KEY:
            return text
        case ("EVAL", _, 1, str(key), str(text)) if key == KEY:
            return text
        case ("DEL", str(key)) if key == KEY:
            return ""
    return None


def allows_oom(command: Command) -> bool:
    return command[0] == "EVAL" and "allow-oom" in str(command[1])


Replies = list[Any]
