"""The name of etcd's present life: its indexes can be compared as long as the name is the same.

etcd's cluster id alone doesn't do: an etcd that was emptied and started as before has the id that
it had. So there is a key besides, with a random value, which goes when etcd is emptied.
"""

import logging
import uuid
from urllib.parse import quote

from safe_redis.errors import StoreError
from safe_redis.etcd import Node, Store
from safe_redis.version import Version

log = logging.getLogger(__name__)

ATTEMPTS = 3


class Epoch:
    """The key in etcd. Used by one thread."""

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key

    def name(self) -> str:
        """Cluster id and random value; makes the value where there is none."""
        for _ in range(ATTEMPTS):
            reading = self._store.read(self._key)
            if reading.node is not None:
                return _name(reading.cluster, reading.node)
            self._store.swap(self._key, uuid.uuid4().hex, None, 0)
        raise StoreError(f"{self._key} is written and can't be read: a member of etcd lags behind")

    def check(self, newest: Version | None) -> None:
        """Begins a new epoch if etcd was set back: if a write now gets an index below `newest` of the same epoch.

        Only a write tells: a read may come from a member that lags behind.
        """
        reading = self._store.read(self._key)
        node = reading.node
        if node is None or newest is None or newest.cluster != _name(reading.cluster, node):
            return
        index = self._store.swap(self._key, node.value, None, node.index)
        if index is not None and index < newest.index:
            log.warning("found etcd set back from index %d to %d", newest.index, index)
            self._store.swap(self._key, uuid.uuid4().hex, None, index)


def _name(cluster: str, node: Node) -> str:
    # a header carries it, whatever somebody may have written there by hand
    return f"{cluster}-{quote(node.value[:32], safe='')[:100]}"
