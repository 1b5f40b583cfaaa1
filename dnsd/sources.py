"""What is to be published of the instances' own records, as registrator has written them."""

import time
from dataclasses import dataclass

from dnsd import records
from dnsd.parallel import Parallel
from dnsd.records import DesiredRecord
from safe_redis.errors import NoRecord
from safe_redis.etcd import Store

# how old (s) contents may be that were prepared before it was known whether to publish them
FRESH = 2.0


@dataclass(frozen=True, slots=True)
class Contents:
    """The values by key, the master's first, and why slaves have none.

    `read_at` is when (time.monotonic()) the instances' records were about to be read.
    """

    values: dict[str, str]
    left_out: tuple[str, ...]
    read_at: float

    @property
    def fresh(self) -> bool:
        """Whether they may be published."""
        return time.monotonic() - self.read_at < FRESH


def read(store: Store, parallel: Parallel, desired: tuple[DesiredRecord, ...], ttl: int) -> Contents:
    """What `desired` holds now. StoreError where etcd fails, NoRecord where the master has none."""
    read_at = time.monotonic()
    listed = parallel.map(store.children, records.parents(desired))
    sources = {node.key: node.value for nodes in listed for node in nodes.values()}
    values: dict[str, str] = {}
    left_out: dict[str, None] = {}  # in order, without the second record's repetition
    for record in desired:
        try:
            values[record.key] = records.value(record, sources.get(record.source), ttl)
        except NoRecord as error:
            if record is desired[0]:  # the master's
                raise
            left_out[str(error)] = None
    return Contents(values, tuple(left_out), read_at)
