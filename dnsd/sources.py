"""The instances' own records, as registrator has written them, and what is to be published of them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from dnsd import records
from dnsd.parallel import Parallel
from dnsd.records import DesiredRecord
from safe_redis.errors import NoRecord
from safe_redis.etcd import Store

# how old (s) they may be where they were read before it was known whether they shall be published
FRESH = 2.0


@dataclass(frozen=True, slots=True)
class Sources:
    """The records' texts by key, and when (time.monotonic()) they were about to be read."""

    texts: Mapping[str, str]
    read_at: float

    @property
    def fresh(self) -> bool:
        """Whether they may be published."""
        return time.monotonic() - self.read_at < FRESH


def read(store: Store, parallel: Parallel, desired: tuple[DesiredRecord, ...]) -> Sources:
    """Reads what `desired` is made from. StoreError where etcd fails."""
    read_at = time.monotonic()
    listed = parallel.map(store.children, records.parents(desired))
    return Sources({node.key: node.value for nodes in listed for node in nodes.values()}, read_at)


def values(desired: tuple[DesiredRecord, ...], sources: Sources, ttl: int) -> tuple[dict[str, str], tuple[str, ...]]:
    """The values by key, the master's first, and why slaves have none; NoRecord where the master has none."""
    made: dict[str, str] = {}
    left_out: dict[str, None] = {}  # in order, without the second record's repetition
    for record in desired:
        try:
            made[record.key] = records.value(record, sources.texts.get(record.source), ttl)
        except NoRecord as error:
            if record is desired[0]:  # the master's
                raise
            left_out[str(error)] = None
    return made, tuple(left_out)
