"""Keeps a record in etcd for each published port of the containers that run.

A record has a TTL and is written again for as long as Docker says that its container runs. One
whose container has ended is deleted, but only if it is still what we wrote: another host may have
taken the key over. For the same reason a refresh leaves alone, once, what another has written: a
container that has moved may still be stopping here. What an earlier registrar has written is
written again, or expires.
"""

import logging
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from registrar.containers import Docker
from registrar.records import BadName, Container, Host, Record, records
from registrar.settings import Settings
from safe_redis.errors import Rejected, TopologyError
from safe_redis.etcd import Store

log = logging.getLogger(__name__)

# how soon a round that failed is tried again, in seconds
RETRY = 0.5


@dataclass(frozen=True, slots=True)
class Written:
    """A record in etcd, and when (time.monotonic()) it is to be written again.

    `contested`: when it was last to be written, another had written something else there.
    """

    record: Record
    due: float
    contested: bool = False


class Registrar:
    """Compares what runs with what it has written, in rounds."""

    def __init__(self, docker: Docker, store: Store, settings: Settings) -> None:
        self._docker = docker
        self._store = store
        self._settings = settings
        self._host = Host(settings.host, settings.host_ip, settings.domain, settings.record_ttl)
        self._written: dict[str, Written] = {}
        self._warned: set[str] = set()

    def work(self, changed: threading.Event) -> None:
        """A round whenever `changed` is set, and as often as records need it. Never returns."""
        while True:
            changed.clear()
            try:
                self.round()
                self._beat()
                pause = self._until_due()
            except TopologyError as error:
                log.warning("failed to register: %s", error)
                pause = RETRY
            except Exception:
                log.exception("failed to register")
                pause = RETRY
            changed.wait(pause)

    def round(self) -> None:
        """Writes what is new or due, and deletes what has ended."""
        wanted = self._wanted(self._docker.running())
        for key in self._written.keys() - wanted.keys():
            self._remove(self._written[key].record)
        for record in wanted.values():
            written = self._written.get(record.key)
            try:
                if written is None or written.record != record:
                    self._write(record)
                elif written.due <= time.monotonic():
                    self._refresh(written)
            except Rejected as error:  # concerns this one: the others must not wait for it
                self._warn(f"failed to register {record.container}: {error}")
                if written is not None:
                    self._postpone(written, self._settings.ttl_refresh)

    def _wanted(self, containers: tuple[Container, ...]) -> dict[str, Record]:
        wanted: dict[str, Record] = {}
        for container in sorted(containers, key=lambda container: container.name):
            try:
                for record in records(container, self._host):
                    if record.key in wanted:
                        self._warn(f"left out {container.name}: {record.key} is {wanted[record.key].container}'s")
                    else:
                        wanted[record.key] = record
            except BadName as error:
                self._warn(f"left out {container.name}: {error}")
        return wanted

    def _write(self, record: Record) -> None:
        self._store.put(record.key, record.value, self._settings.ttl)
        self._note(record)
        log.info("registered %s at %s: %s", record.container, record.key, record.value)

    def _refresh(self, written: Written) -> None:
        record, node = written.record, self._store.get(written.record.key)
        if node is not None and node.value != record.value and not written.contested:
            log.warning("left %s alone, which another has written: %s", record.key, node.value)
            self._note(record, contested=True)
            return
        index = node.index if node is not None else 0
        if self._store.swap(record.key, record.value, self._settings.ttl, index) is not None:
            self._note(record)
        else:  # somebody has written meanwhile
            self._postpone(written, RETRY)

    def _note(self, record: Record, *, contested: bool = False) -> None:
        due = time.monotonic() + self._settings.ttl_refresh
        self._written[record.key] = Written(record, due, contested)

    def _postpone(self, written: Written, seconds: float) -> None:
        """Has a record that could not be written again looked at again, but not at once."""
        due = time.monotonic() + min(seconds, self._settings.ttl_refresh)
        self._written[written.record.key] = replace(written, due=due)

    def _remove(self, record: Record) -> None:
        """Deletes what was written for a container that has ended."""
        try:
            node = self._store.get(record.key)
            if node is not None and node.value == record.value and self._store.delete(record.key, node.index):
                log.info("removed %s at %s", record.container, record.key)
        except Rejected as error:  # concerns this one, and it expires: the others must not wait for it
            self._warn(f"failed to remove {record.container} at {record.key}: {error}")
        del self._written[record.key]

    def _until_due(self) -> float:
        """Seconds until the next record is to be written again, or until Docker is asked anyway."""
        dues = [written.due for written in self._written.values()]
        return max(0.0, min([self._settings.ttl_refresh, *(due - time.monotonic() for due in dues)]))

    def _warn(self, message: str) -> None:
        if message not in self._warned:  # once, not in every round
            self._warned.add(message)
            log.warning("%s", message)

    def _beat(self) -> None:
        if not self._settings.heartbeat:
            return
        try:
            Path(self._settings.heartbeat).touch()
        except OSError as error:
            self._warn(f"failed to touch {self._settings.heartbeat}: {error}")
