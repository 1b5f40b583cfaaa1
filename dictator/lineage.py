"""The lineage record: which instance holds the data that must survive, written into that data. Pure: no I/O, no clock.

A replication id dies with a restart, and a number of keys says nothing of history. So each change of master is an
*epoch*, and a key that is replicated and saved like any other says which instance serves it, or between which two a
handover was intended. docs/algorithm.md tells what a run concludes from it.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

from dictator.instance import Instance

KEY = "safe-redis:lineage"
# writes the record also where the instance is above its maxmemory; Redis 7.0 and later know the flag
ALLOW_OOM = "#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], ARGV[1])"


class Member(msgspec.Struct, frozen=True):
    """An instance as a record names it: the document's name for it, and the address that the slaves were given."""

    name: str
    host: str
    port: int

    @classmethod
    def of(cls, instance: Instance) -> "Member":
        """The instance as a record names it."""
        return cls(instance.name, instance.host, instance.port)

    @property
    def instance(self) -> Instance:
        """The member as an instance that can be asked."""
        return Instance(self.name, self.host, self.port)

    def __str__(self) -> str:
        return str(self.instance)


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One epoch of one cluster: `served` by `master`, or `intended` to go from `source` to `master`.

    `id` was made when the cluster was brought up or adopted; epochs only grow. `forced` is the last epoch that an
    operator forced (0: none): what was handed over since then lost nothing.
    """

    cluster: str
    id: str
    epoch: int
    state: Literal["served", "intended"]
    master: Member
    source: Member | None = None
    forced: int = 0

    @property
    def served(self) -> bool:
        """Whether the epoch has begun; otherwise it was only intended."""
        return self.state == "served"

    def __str__(self) -> str:
        if self.source is None:
            return f"epoch {self.epoch}, served by {self.master}"
        return f"epoch {self.epoch}, intended from {self.source} to {self.master}"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a run may write: its cluster's name, the id for a lineage that has none yet, and the clock in ms."""

    cluster: str
    fresh_id: str
    clock: int


def encode(record: Record) -> str:
    """The record as it is stored at KEY."""
    return msgspec.json.encode(record).decode()


def decode(text: str) -> Record | None:
    """The record in `text`; None where it is none."""
    try:
        record = msgspec.json.decode(text, type=Record)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return record if record.served == (record.source is None) else None
