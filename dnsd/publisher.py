"""Writes records into etcd with a TTL, refreshes them until the next topology, removes old ones.

What is refreshed is what was last published, not what the sources say by now: an instance that
came back under another address is in DNS again only when the dictator has dealt with it and the
next PUT says so.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from dnsd import records
from dnsd.records import DesiredRecord
from dnsd.settings import Settings
from safe_redis.errors import Busy, NoRecord, Rejected, StoreError
from safe_redis.etcd import Store
from safe_redis.topology import Topology

T = TypeVar("T")
R = TypeVar("R")
log = logging.getLogger(__name__)

# how soon a failed refresh is tried again, in seconds: etcd may be back just before records expire
RETRY = 0.5
# writes on their way to etcd at once
WRITERS = 8


@dataclass(frozen=True, slots=True)
class Held:
    """A value to keep in etcd, and when (time.monotonic()) it is to be written again."""

    value: str
    due: float


class Publisher:
    """Owns the records under the publish domain. PUTs may come from several threads."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._domain = settings.domain
        self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="etcd")
        self._held: dict[str, Held] = {}
        self._adopted = False
        self._turn = threading.Lock()
        # locks aren't fair: without this, the refresher could go on and on before a waiting PUT
        self._no_put = threading.Event()
        self._no_put.set()

    def publish(self, topology: Topology) -> tuple[str, ...]:
        """Replaces what is published; the slaves left out, each with the reason.

        DocumentError for clashing names; NoRecord where the master can't be published, StoreError
        where etcd fails: then what was published goes on being refreshed.
        """
        master, *slaves = records.wanted(topology, self._domain)
        with self._my_turn():
            # the master alone first: it is the one that clients wait for
            self._write(master.key, records.value(master, self._source(master)))
            published = self._pool.submit(self._store.children, records.slaves_key(self._domain))
            values, left_out = _slaves(slaves, self._sources(slaves))
            self._all(lambda key: self._write(key, values[key]), values)
            self._adopted = True
            keys = {node.key for node in published.result().values()} | set(self._held)
            self._all(self._remove, keys - set(values) - {master.key})
        log.info("published %s as master, %d slaves", topology.master, len(values))
        for each in left_out:
            log.warning("left out %s", each)
        return left_out

    def keep_fresh(self) -> None:
        """Writes each record again when it is due. Never returns; run it in a daemon thread."""
        while True:
            try:
                pause = self._refresh_next()
            except StoreError as error:
                log.warning("failed to refresh: %s", error)
                pause = min(RETRY, self._settings.ttl_refresh)
            except Exception:
                log.exception("failed to refresh")
                pause = min(RETRY, self._settings.ttl_refresh)
            time.sleep(pause)

    def _refresh_next(self) -> float:
        """Writes the record that is due first, if it is; the seconds until the next is due."""
        self._no_put.wait(self._settings.turn_timeout)
        with self._turn:
            if not self._adopted:
                self._adopt()
            if not self._held:
                return self._settings.ttl_refresh
            key = min(self._held, key=lambda each: self._held[each].due)
            held = self._held[key]
            pause = held.due - time.monotonic()
            if pause > 0:
                return min(pause, self._settings.ttl_refresh)
            try:
                self._write(key, held.value)
            except Rejected as error:  # concerns this one: the others must not wait for it
                log.warning("failed to refresh: %s", error)
                self._held[key] = Held(held.value, time.monotonic() + self._settings.ttl_refresh)
            return 0

    def _adopt(self) -> None:
        """Takes over what an earlier dnsd has published, so that it doesn't expire."""
        master = self._store.get(records.master_key(self._domain))
        slaves = self._store.children(records.slaves_key(self._domain))
        for node in (*([master] if master else []), *slaves.values()):
            if not records.well_formed(node.value):
                log.warning("ignored what is at %s, it is no record: %r", node.key, node.value)
            elif node.key not in self._held:
                log.info("took over %s: %s", node.key, node.value)
                self._held[node.key] = Held(node.value, time.monotonic())
        self._adopted = True

    def _source(self, want: DesiredRecord) -> str | None:
        node = self._store.get(want.source) if want.source else None
        return node.value if node else None

    def _sources(self, wanted: Iterable[DesiredRecord]) -> dict[str, str]:
        found: dict[str, str] = {}
        for nodes in self._all(self._store.children, records.parents(wanted)):
            found |= {node.key: node.value for node in nodes.values()}
        return found

    def _write(self, key: str, value: str) -> None:
        self._store.put(key, value, self._settings.ttl)
        self._held[key] = Held(value, time.monotonic() + self._settings.ttl_refresh)
        log.debug("wrote %s: %s", key, value)

    def _remove(self, key: str) -> None:
        # whether etcd does it or not: what isn't refreshed is gone after its TTL
        self._held.pop(key, None)
        self._store.delete(key)
        log.info("removed %s", key)

    def _all(self, do: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """`do` of each item, some at once.

        What etcd rejects is raised when all have been tried; what hasn't begun when etcd fails is
        given up.
        """
        running = [self._pool.submit(do, item) for item in items]
        for each in running:
            error = each.exception()
            if error and not isinstance(error, Rejected):
                for other in running:
                    other.cancel()
                wait(running)
                raise error
        return [each.result() for each in running]

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        self._no_put.clear()
        try:
            if not self._turn.acquire(timeout=self._settings.turn_timeout):
                raise Busy(f"another PUT, or etcd, took more than {self._settings.turn_timeout:g} s")
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._no_put.set()


def _slaves(wanted: Iterable[DesiredRecord], sources: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The values of the slaves by key, and why others have none."""
    values: dict[str, str] = {}
    left_out: list[str] = []
    for each in wanted:
        try:
            values[each.key] = records.value(each, sources.get(each.source))
        except NoRecord as error:
            left_out.append(str(error))
    return values, tuple(left_out)
