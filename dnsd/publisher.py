"""Publishes a topology as records in etcd, refreshes them until the next one, and removes old ones.

What is refreshed is what was last published, not what the sources say by now: an instance that
came back under another address is in DNS again only when the dictator has dealt with it and the
next PUT says so.
"""

import logging
import time
from logging import INFO, WARNING

from dnsd import metrics, records, sources
from dnsd.ledger import Ledger, Publication
from dnsd.parallel import Parallel
from dnsd.settings import Settings
from dnsd.sources import Contents
from dnsd.zone import Superseded, Zone
from safe_redis.errors import Outdated, Rejected, TopologyError
from safe_redis.etcd import Node, Store
from safe_redis.fairlock import FairLock
from safe_redis.repeats import OUTCOME, Repeats
from safe_redis.topology import Topology
from safe_redis.version import Version

log = logging.getLogger(__name__)

# how soon a failed refresh is tried again, in seconds: etcd may be back just before records expire
RETRY = 0.5
# writes on their way to etcd at once
WRITERS = 8


class Publisher:
    """Owns the records under the publish domain. PUTs may come from several threads."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._domain = settings.domain
        self._master_key = records.master_key(self._domain)
        self._slaves_key = records.slaves_key(self._domain)
        self._directories = records.slave_directories(self._domain)
        self._ledger = Ledger(store, self._domain)
        self._zone = Zone(store, self._ledger, settings.ttl)
        self._parallel = Parallel(WRITERS)
        # when (time.monotonic()) each record is to be written again, by its key
        self._due: dict[str, float] = {}
        self._adopted = False
        self._lock = FairLock(settings.turn_timeout)
        self.repeats = Repeats(log)

    def prepare(self, topology: Topology) -> Contents:
        """What `publish` would publish now.

        DocumentError for clashing names, NoRecord where the master can't be published, StoreError where etcd fails.
        """
        desired = records.desired(topology, self._domain)
        return sources.read(self._store, self._parallel, desired, self._settings.record_ttl)

    def publish(
        self,
        topology: Topology,
        version: Version | None = None,
        *,
        repeat: bool = False,
        prepared: Contents | None = None,
    ) -> tuple[str, ...]:
        """Replaces what is published; the slaves left out, each with the reason.

        What was `prepared` for the topology is published if it is fresh. Fails like `prepare`, and with Outdated for an
        older version than what is published; Superseded where another dnsd has published meanwhile: then what was
        published goes on being refreshed. A `repeat` is logged only if it ends otherwise than the last one.
        """
        with self._lock.turn():
            self._ledger.admit(version)
            contents = prepared if prepared and prepared.fresh else self.prepare(topology)
            replaced = self._replace(contents.values, version)
        if not repeat or replaced != contents.values:
            self.repeats.forget()
        self._log_outcome(topology, contents)
        return contents.left_out

    def _replace(self, values: dict[str, str], version: Version | None) -> dict[str, str]:
        """Announces the records and writes them; those of the publication before, by key."""
        ahead = self._write_ahead(values[self._master_key])
        try:
            replaced = self._ledger.announce(values, version)
        except Outdated:
            if ahead:
                self._take_back()
            raise
        self._adopted = True
        # what wasn't published before may be about to be removed by another dnsd, as it is now
        due = {key: at for key, at in self._due.items() if key in values and replaced.get(key) == values[key]}
        self._due = dict.fromkeys(values, time.monotonic())
        try:
            self._write_all(values, due)
        except Superseded:
            self._follow()
            raise
        return replaced

    def _write_ahead(self, master: str) -> bool:
        """Whether the master is another one, and its record is in DNS before its publication is announced."""
        known = self._ledger.current.records if self._ledger.current else {}
        return known.get(self._master_key) != master and self._zone.write_ahead(self._master_key, master)

    def _take_back(self) -> None:
        """Puts the current master's record in the place of one that was written ahead."""
        self._follow()
        current = self._ledger.current
        if current is not None and self._master_key in current.records:
            self._write(self._master_key, current.records[self._master_key])

    def _log_outcome(self, topology: Topology, contents: Contents) -> None:
        slaves = sum(key.startswith(self._slaves_key) for key in contents.values)
        self.repeats.log(INFO, OUTCOME, f"published {topology.master} as master, {slaves} slaves", again=False)
        for reason in contents.left_out:
            self.repeats.log(WARNING, reason, f"left out {reason}")

    def _write_all(self, values: dict[str, str], due: dict[str, float]) -> None:
        """Writes the records, the master's first, since clients wait for it, and removes others.

        What etcd holds as it was last written here stays until it is `due`: clients look the new master up meanwhile,
        and each write would take etcd's time from them.
        """
        self._write(self._master_key, values[self._master_key])
        present = self._present()
        standing = {key for key in due if self._zone.stands(key, values[key], present.get(key))}
        self._due |= {key: due[key] for key in standing}
        others = [key for key in values if key not in standing and key != self._master_key]
        to_create = self._zone.to_create(key for key in others if key not in present and self._listed(key))
        self._parallel.map(lambda key: self._write(key, values[key], create=key in to_create), others)
        self._remove_others(present, values)

    def _listed(self, key: str) -> bool:
        """Whether `_present` would have it."""
        return key.rpartition("/")[0] in self._directories

    def _present(self) -> dict[str, Node]:
        """All slaves' records in etcd, by their keys."""
        listed = self._parallel.map(self._store.children, self._directories)
        return {node.key: node for nodes in listed for node in nodes.values()}

    def check(self) -> None:
        """StoreError where etcd doesn't answer."""
        self._store.get(self._master_key)

    def count_records(self) -> int:
        """How many records are refreshed."""
        return len(self._due)

    def keep_fresh(self) -> None:
        """Writes each record again when it is due. Never returns; run it in a daemon thread."""
        while True:
            try:
                with self._lock.turn():
                    pause = self._refresh_next()
            except TopologyError as error:
                metrics.FAILURES.inc()
                log.warning("failed to refresh: %s", error)
                pause = min(RETRY, self._settings.ttl_refresh)
            except Exception:
                metrics.FAILURES.inc()
                log.exception("failed to refresh")
                pause = min(RETRY, self._settings.ttl_refresh)
            time.sleep(pause)

    def _refresh_next(self) -> float:
        """Writes the record that is due first, if it is; the seconds until the next is due."""
        if not self._adopted:
            self._adopt()
        publication = self._ledger.current
        if not self._due or publication is None:
            return self._settings.ttl_refresh
        if self._due.keys() != publication.records.keys():
            # a PUT that was refused, or failed, has shown a newer one
            log.warning("takes over what another dnsd has published")
            self._follow()
            return 0
        key = min(self._due, key=lambda key: self._due[key])
        pause = self._due[key] - time.monotonic()
        if pause > 0:
            return min(pause, self._settings.ttl_refresh)
        try:
            if key == self._master_key:
                self._refresh_master(publication)
            else:
                self._write(key, publication.records[key])
        except Superseded as error:
            log.warning("takes over what another dnsd has published: %s", error)
            self._follow()
        except Rejected as error:  # concerns this one: the others must not wait for it
            log.warning("failed to refresh: %s", error)
            self._due[key] = time.monotonic() + self._settings.ttl_refresh
        return 0

    def _refresh_master(self, publication: Publication) -> None:
        """Writes the master's record, and removes slaves' records that a late write has brought back.

        They are listed first: whoever publishes writes the master first, so if that hasn't changed
        by then, what is listed here is of no later publication.
        """
        present = self._present()
        self._write(self._master_key, publication.records[self._master_key])
        self._remove_others(present, publication.records)

    def _adopt(self) -> None:
        """Takes over what an earlier dnsd has published, unless it has expired."""
        self._ledger.admit(None)
        master = self._store.get(self._master_key)
        slaves = self._store.children(self._slaves_key)
        alive = {}
        for node in (*([master] if master else []), *slaves.values()):
            if records.well_formed(node.value):
                log.info("took over %s: %s", node.key, node.value)
                alive[node.key] = node.value
            else:
                log.warning("ignored what is at %s, it is no record: %r", node.key, node.value)
        if alive and self._ledger.current is None:
            self._ledger.announce(alive)
        if alive:
            self._follow()
        current = self._ledger.current
        if master and current and current.records.get(self._master_key) not in (None, master.value):
            # an earlier dnsd may have died before it announced what it had written ahead; the PUT is repeated then
            log.warning("found another master at %s than was announced, leaves it there until a refresh", master.key)
            self._due[self._master_key] = time.monotonic() + self._settings.ttl_refresh
        self._adopted = True

    def _follow(self) -> None:
        """Refreshes what is now the current publication, all of it at once."""
        while not self._ledger.confirm():
            log.info("found that another dnsd has published")
        current = self._ledger.current
        self._due = dict.fromkeys(current.records if current else (), time.monotonic())

    def _write(self, key: str, value: str, *, create: bool = False) -> None:
        if key == self._master_key:
            self._zone.write_master(key, value)
        else:
            self._zone.write_slave(key, value, create=create)
        metrics.WRITES.inc()
        self._due[key] = time.monotonic() + self._settings.ttl_refresh

    def _remove_others(self, present: dict[str, Node], values: dict[str, str]) -> None:
        """Removes what is `present`, by key, and isn't among the `values`."""
        self._parallel.map(self._zone.remove, [node for key, node in present.items() if key not in values])
