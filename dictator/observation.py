"""What an instance says of itself, as frozen values. Pure: no I/O, no clock.

Source of every field: INFO (sections server, replication, keyspace, persistence, cluster), CONFIG GET and PUBSUB
NUMSUB.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dictator.history import History

# Nobody can listen on port 0: a slave of this address is a slave of nothing, and refuses every write.
FENCE = ("127.0.0.1", 0)
# Nobody can listen there either. A slave told so stops where it is, and is still a slave: a copy, and no holder.
HALT = ("0.0.0.0", 0)
NO_REPLID = "0" * 40

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Instance:
    """One redis: the name that the document gives it, and the IP address and port where it was found."""

    name: str
    host: str
    port: int

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as REPLICAOF takes them."""
        return self.host, self.port

    def __str__(self) -> str:
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return where if self.name in (where, self.host) else f"{self.name} ({where})"


@dataclass(frozen=True, slots=True)
class Replication:
    """The section `replication`: who it follows, and how far it has come."""

    master: bool
    history: History
    following: tuple[str, int] | None = None
    link_up: bool = False
    syncing: bool = False
    failover: bool = False

    @property
    def parked(self) -> bool:
        """Whether it stands on the role fence, so that it is a slave of nothing."""
        return self.following == FENCE

    def follows(self, instance: Instance) -> bool:
        """Whether it is a slave of `instance`, at the address under which the document's name was found."""
        return self.following == instance.address

    def linked_to(self, instance: Instance, replid: str) -> bool:
        """Whether it is a slave of `instance`, with its link up and the history `replid`, that of its master."""
        return self.follows(instance) and self.link_up and self.history.replid == replid


@dataclass(frozen=True, slots=True)
class Observation:
    """One instance as it was seen, at one time. `keys` counts all databases."""

    instance: Instance
    run_id: str
    version: tuple[int, ...]
    valkey: bool
    replication: Replication
    keys: int
    loading: bool = False
    cluster: bool = False
    sentinels: int = 0
    min_replicas: int = 0
    read_only: bool = True

    @property
    def empty(self) -> bool:
        """Whether it holds no key at all."""
        return self.keys == 0

    @property
    def holder(self) -> bool:
        """Whether it holds data that is not a copy of a master's: it is a master, or a parked one."""
        return not self.empty and (self.replication.master or self.replication.parked)

    def __str__(self) -> str:
        rep = self.replication
        role = "master" if rep.master else "parked" if rep.parked else "slave"
        return f"{self.instance}: {role}, {self.keys} keys, offset {rep.history.offset} of {rep.history.replid[:8]}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """An instance of the document that can't be dealt with now: not resolved, not reached, or loading its data."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


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
