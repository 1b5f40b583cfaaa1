"""A stand-in for registrator: keeps a SkyDNS record in etcd for every running service.

Like the real one, it writes a record some time after the service has started, refreshes it before
it expires, and deletes it when the service is stopped. If the service crashes, the record expires,
as it does after the crash of a host.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.keys import Keys, KeysError

log = logging.getLogger(__name__)

RETRY = 1.0


@dataclass
class _Entry:
    record: str
    alive: Callable[[], bool]
    due: float


def key_of(service: str, instance: str) -> str:
    """The etcd key of an instance of a service."""
    return f"/skydns/docker/{service}/{instance}"


class Registrator:
    """Writes records to etcd from a thread of its own. All times are in seconds."""

    def __init__(self, keys: Keys, *, ttl: int = 30, refresh: float = 15, delay: float = 1) -> None:
        self._keys = keys
        self._ttl = ttl
        self._refresh = refresh
        self._delay = delay
        self._entries: dict[str, _Entry] = {}
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="registrator", daemon=True)

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def stop(self) -> None:
        """Stop writing; the records expire."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def register(self, service: str, instance: str, host: str, port: int, alive: Callable[[], bool]) -> None:
        """Write the instance's record after the delay, and refresh it as long as `alive()` is true.

        Replaces an earlier registration of the same instance.
        """
        record = json.dumps({"host": host, "port": port})
        with self._changed:
            due = time.monotonic() + self._delay
            self._entries[key_of(service, instance)] = _Entry(record, alive, due)
            self._changed.notify()

    def deregister(self, service: str, instance: str) -> None:
        """Delete the record; if etcd can't be reached, the record expires."""
        key = key_of(service, instance)
        with self._changed:
            self._entries.pop(key, None)
            try:
                self._keys.delete(key)
            except KeysError as error:
                log.warning("failed to delete %s: %s", key, error)

    def _run(self) -> None:
        with self._changed:
            while not self._ending:
                for key, entry in list(self._entries.items()):
                    if entry.due <= time.monotonic():
                        self._renew(key, entry)
                dues = [entry.due for entry in self._entries.values()]
                self._changed.wait(max(0, min(dues) - time.monotonic()) if dues else None)

    def _renew(self, key: str, entry: _Entry) -> None:
        if not entry.alive():
            log.info("leaving %s to expire: its service is gone", key)
            del self._entries[key]
            return
        try:
            self._keys.put(key, entry.record, ttl=self._ttl)
            entry.due = time.monotonic() + self._refresh
        except KeysError as error:
            log.warning("failed to write %s: %s", key, error)
            entry.due = time.monotonic() + RETRY
