"""Parses what instances answer: INFO, CONFIG GET, PUBSUB NUMSUB, the lineage record. Pure: no I/O, no clock."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dictator.history import History
from dictator.instance import Instance
from dictator.lineage import KEY, decode
from dictator.observation import FENCE, NO_REPLID, Observation, Replication

SENTINEL_CHANNEL = "__sentinel__:hello"
Fields = Mapping[str, str]
# all that an observation is made of, in one round trip
OBSERVE = (
    ("INFO", "server"),
    ("INFO", "replication"),
    ("INFO", "keyspace"),
    ("INFO", "persistence"),
    ("INFO", "cluster"),
    ("CONFIG", "GET", "min-replicas-to-write"),
    ("CONFIG", "GET", "replica-read-only"),
    ("PUBSUB", "NUMSUB", SENTINEL_CHANNEL),
    ("GET", KEY),
)


def observation(instance: Instance, replies: Sequence[Any], text: str | None, unreadable: str) -> Observation:
    """The observation in the replies to OBSERVE but the last, which is `text`, or the error `unreadable`."""
    server, rep, keyspace, persistence, cluster, min_replicas, read_only, sentinels = replies
    valkey, numbers = version(server)
    record = decode(text) if text is not None else None
    if text is not None and record is None:
        unreadable = f"{text[:80]!r}"
    return Observation(
        instance,
        server["run_id"],
        numbers,
        valkey,
        replication(rep),
        keys(keyspace) - (text is not None),
        loading=persistence.get("loading", "0") == "1",
        cluster=cluster.get("cluster_enabled", "0") == "1",
        sentinels=int(sentinels[1]),
        min_replicas=int(min_replicas[1]),
        read_only=read_only[1] == "yes",
        connected_slaves=int(rep.get("connected_slaves", 0)),
        record=record,
        unreadable=unreadable,
    )


def replication(fields: Fields) -> Replication:
    """The replication section of INFO as a value."""
    master = fields["role"] == "master"
    following = None if master else (fields["master_host"], int(fields["master_port"]))
    parked = following == FENCE
    # a slave's own stream may run ahead of what it has applied; a master, or a parked one, has applied all of its own
    offset = int(fields["master_repl_offset"] if master or parked else fields["slave_repl_offset"])
    replid2 = fields.get("master_replid2", NO_REPLID)
    fork = int(fields.get("second_repl_offset", 0)) - 1
    history = History(
        fields["master_replid"],
        offset,
        "" if replid2 == NO_REPLID else replid2,
        fork,
        counted=_counted(fields, fork),
    )
    return Replication(
        master,
        history,
        following,
        link_up=fields.get("master_link_status") == "up",
        syncing=fields.get("master_sync_in_progress", "0") == "1",
        failover=fields.get("master_failover_state", "no-failover") != "no-failover",
    )


def _counted(fields: Fields, fork: int) -> bool:
    """Whether the backlog reaches back before the fork. Where there is none, writes leave the offset as it is."""
    return fields["repl_backlog_active"] == "1" and int(fields["repl_backlog_first_byte_offset"]) <= fork


def keys(fields: Fields) -> int:
    """The number of keys in all databases, of the keyspace section: `db0:keys=3,expires=0,...`."""
    counts = (re.match(r"keys=(\d+)", text) for name, text in fields.items() if re.fullmatch(r"db\d+", name))
    return sum(int(count[1]) for count in counts if count)


def version(fields: Fields) -> tuple[bool, tuple[int, ...]]:
    """Whether it is a Valkey, and its own version: a Valkey also shows the Redis version that it is like."""
    valkey = fields.get("server_name") == "valkey" or "valkey_version" in fields
    text = fields.get("valkey_version", "0") if valkey else fields.get("redis_version", "0")
    return valkey, tuple(int(part) for part in re.findall(r"\d+", text)[:3])


@dataclass(frozen=True, slots=True)
class Persistence:
    """The section `persistence`: whether writes reach the disk. `busy`: the append-only file is being rewritten."""

    aof: bool
    busy: bool
    failed: str = ""

    @property
    def safe(self) -> bool:
        """Whether a crash would lose nothing that the file can hold; without one, nothing is to be waited for."""
        return not (self.aof and (self.busy or self.failed))


def persistence(fields: Fields) -> Persistence:
    """The section as a value; `failed` names the figure that says that the log could not be written."""
    checked = ("aof_last_bgrewrite_status", "aof_last_write_status")
    failed = [f"{name}:{fields[name]}" for name in checked if fields.get(name, "ok") != "ok"]
    busy = any(fields.get(name, "0") != "0" for name in ("aof_rewrite_in_progress", "aof_rewrite_scheduled"))
    return Persistence(fields.get("aof_enabled", "0") == "1", busy, ", ".join(failed))


@dataclass(frozen=True, slots=True)
class Memory:
    """The section `memory`, in bytes: what counts towards `limit` (maxmemory; 0: none), and its policy when full."""

    used: int
    limit: int
    policy: str


def memory(fields: Fields) -> Memory:
    """The section as a value."""
    used = int(fields["used_memory"]) - int(fields.get("mem_not_counted_for_evict", 0))
    return Memory(used, int(fields["maxmemory"]), fields["maxmemory_policy"])
