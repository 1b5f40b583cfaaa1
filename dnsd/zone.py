"""The records in etcd. Each is written only if nobody else has written it since it was last seen.

So a write that was held up, in a stopped process or in the network, can't bring an old record
back: the index that it asks for is gone.
"""

import logging
import time
from collections.abc import Iterable

from dnsd.ledger import Ledger
from dnsd.records import NO_SERVICE
from safe_redis.errors import Rejected, Unavailable
from safe_redis.etcd import Node, Store

log = logging.getLogger(__name__)

# seconds that clients have etcd for themselves, to look a new master up; everything else can wait
HEAD_START = 0.005
# how often a write may be overtaken by others
ATTEMPTS = 5
# seconds after which etcd removes a placeholder, should its writer die
PLACEHOLDER_TTL = 5


class Superseded(Unavailable):
    """Another dnsd has published since."""


class Zone:
    """Records with a TTL in seconds. Each key is written by one thread at a time."""

    def __init__(self, store: Store, ledger: Ledger, ttl: int) -> None:
        self._store = store
        self._ledger = ledger
        self._ttl = ttl
        self._indexes: dict[str, int] = {}

    def write_ahead(self, key: str, value: str) -> bool:
        """Whether the master's record was written before its publication is announced, and clients had a head start.

        It is if nobody else has written it since it was last written here. Until the announcement it is like one that a
        stranger has written: `write_master` must follow.
        """
        if not self._rewrite(key, value):
            return False
        time.sleep(HEAD_START)
        return True

    def write_master(self, key: str, value: str) -> None:
        """Writes the master's record; Superseded where it isn't the current publication's.

        The index is learnt first and the publication confirmed afterwards: whoever has published
        since then writes the record, too, and this write fails.
        """
        known = key in self._indexes
        if self._rewrite(key, value):
            return
        for _ in range(ATTEMPTS):
            node = self._store.get(key)
            # a new key begins as a placeholder, since etcd has no index yet to compare with
            index = node.index if node else self._store.swap(key, NO_SERVICE, PLACEHOLDER_TTL, 0)
            if index is None:
                continue
            if not self._ledger.confirm():
                raise Superseded(f"another dnsd has published before {key} was written")
            if self._swap(key, value, index):
                _log_healing(key, value, node, known=known)
                return
        raise _rejected(key)

    def to_create(self, missing: Iterable[str]) -> frozenset[str]:
        """Of slaves' records that etcd was just seen not to hold, those that `write_slave` may create.

        A record that was written here, and is gone, is none of them. Superseded where another dnsd has published since.
        """
        unknown = frozenset(key for key in missing if key not in self._indexes)
        if unknown:
            self._check(*unknown)
        return unknown

    def _check(self, *keys: str) -> None:
        if self._ledger.outrun():
            raise Superseded(f"another dnsd has published before {', '.join(sorted(keys))} was written")

    def write_slave(self, key: str, value: str, *, create: bool = False) -> None:
        """Writes a slave's record. To `create` it, etcd isn't asked again what it holds, unless that fails."""
        known = key in self._indexes
        if self._swap(key, value, 0) if create else self._rewrite(key, value):
            return
        for _ in range(ATTEMPTS):
            node = self._store.get(key)
            self._check(key)
            if self._swap(key, value, node.index if node else 0):
                _log_healing(key, value, node, known=known)
                return
        raise _rejected(key)

    def stands(self, key: str, value: str, node: Node | None) -> bool:
        """Whether `node`, just read at `key`, is what was last written here, and says `value`."""
        return node is not None and node.value == value and node.index == self._indexes.get(key)

    def remove(self, node: Node) -> None:
        """Deletes a record, unless somebody has written it since. If that fails, it is gone after its TTL."""
        self._indexes.pop(node.key, None)
        if self._store.delete(node.key, node.index):
            log.info("removed %s", node.key)

    def _rewrite(self, key: str, value: str) -> bool:
        index = self._indexes.get(key)
        return index is not None and self._swap(key, value, index)

    def _swap(self, key: str, value: str, index: int) -> bool:
        written = self._store.swap(key, value, self._ttl, index)
        if written is None:
            self._indexes.pop(key, None)
            return False
        self._indexes[key] = written
        log.debug("wrote %s: %s", key, value)
        return True


def _log_healing(key: str, value: str, node: Node | None, *, known: bool) -> None:
    """Log where a record of ours was gone, or another one. A second dnsd that writes the same is no news."""
    if known and node is None:
        log.warning("wrote %s anew: it had expired, or was removed", key)
    elif known and node is not None and node.value not in (value, NO_SERVICE):
        log.warning("wrote %s anew: somebody had written %r", key, node.value[:200])


def _rejected(key: str) -> Rejected:
    return Rejected(f"etcd refused to write {key} {ATTEMPTS} times: it is a directory, or others keep writing it")
