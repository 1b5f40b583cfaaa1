"""The current publication, in one key of etcd that doesn't expire: what several dnsds agree by.

It is changed by compare-and-swap only, before any of its records is written. So the records in
DNS are those of the current publication or of an earlier one, and whoever has to know which asks
here. The exception is a new master's record: it is written a moment before, and once more after
the announcement. In between it is like one that a stranger has written.
"""

import logging
from contextlib import suppress

import msgspec

from dnsd import records
from safe_redis.errors import Outdated, StoreError
from safe_redis.etcd import Node, Store
from safe_redis.version import Admitted, Version

log = logging.getLogger(__name__)

# another dnsd would have to publish at the very same moment so many times
ATTEMPTS = 5


class Publication(msgspec.Struct, frozen=True):
    """The value of each record by its key in etcd, and the version of the topology that they come from."""

    records: dict[str, str]
    version: Version | None = None


class Ledger:
    """The publication of `domain`, as it was last seen. Not thread-safe: use it within a turn."""

    def __init__(self, store: Store, domain: str) -> None:
        self._store = store
        self._domain = domain
        self._key = records.publication_key(domain)
        self._index = 0
        self._loaded = False
        # what was asked for, and what came of it: a topology that couldn't be published makes no publication outdated
        self._admitted = Admitted()
        self._published = Admitted()
        self.current: Publication | None = None

    def admit(self, version: Version | None) -> None:
        """Outdated if a newer version was published, here or by another dnsd, or is about to be."""
        if not self._loaded:
            self._learn(self._store.get(self._key))
        self._admitted.admit(version)

    def announce(self, values: dict[str, str], version: Version | None = None) -> dict[str, str]:
        """Makes these records the current publication, and returns those of the one before.

        Outdated where a newer one was announced.
        """
        for _ in range(ATTEMPTS):
            self.admit(version)
            # an operator's PUT has no version, and must not make an old one pass
            known = self.current.version if self.current else None
            publication = Publication(values, version or known)
            replaced = self.current.records if self.current else {}
            # also where it is the current one, as far as is known here: another dnsd may have announced a newer one
            if self._swap(publication):
                self._published.admit(publication.version)
                self.current = publication
                return replaced
            self._learn(self._store.get(self._key))
        raise StoreError(f"other dnsds kept writing {self._key}, gave up after {ATTEMPTS} attempts")

    def confirm(self) -> bool:
        """Whether the current publication is the one last seen; if not, `current` is now what it is.

        A read might come from a member of etcd that lags behind: so the value is swapped for itself.
        """
        for _ in range(ATTEMPTS):
            if self.current is not None and self._swap(self.current):
                return True
            if not self._learn(self._store.get(self._key)):
                return False
            if self.current is None:
                return True
        raise StoreError(f"other dnsds kept writing {self._key}, gave up after {ATTEMPTS} attempts")

    def outrun(self) -> bool:
        """Whether etcd is seen to hold another publication than `current`. Thread-safe: changes nothing."""
        publication = self._decode(self._store.get(self._key))
        return publication is not None and publication != self.current

    def _swap(self, publication: Publication) -> bool:
        index = self._store.swap(self._key, msgspec.json.encode(publication).decode(), None, self._index)
        if index is None:
            return False
        self._index = index
        return True

    def _learn(self, node: Node | None) -> bool:
        """Takes over what `node` holds; True where the publication that was known stays the current one.

        It does where etcd has lost it, or was set back to an older one: then it is written again.
        """
        self._loaded = True
        known, self._index = self.current, node.index if node else 0
        publication = self._decode(node)
        if publication == known:
            return True
        try:
            if publication is not None:
                self._published.admit(publication.version)
                self.current = publication
                with suppress(Outdated):  # where a newer topology was asked for, and couldn't be published
                    self._admitted.admit(publication.version)
                return False
        except Outdated as error:
            log.warning("found an outdated publication at %s: %s", self._key, error)
        return known is not None and self._swap(known)

    def _decode(self, node: Node | None) -> Publication | None:
        if node is None:
            return None
        try:
            publication = msgspec.json.decode(node.value, type=Publication)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            log.warning("ignored what is at %s, it is no publication: %s", node.key, error)
            return None
        # whoever can write this key must not have dnsd write others, or what SkyDNS can't read
        if not records.publishable(publication.records, self._domain):
            log.warning("ignored what is at %s, it is no publication of %s", node.key, self._domain)
            return None
        return publication
