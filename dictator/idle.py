"""Connections that earlier runs have only looked through, kept for the next: opening fifty takes longer than asking.

A run that acts opens new connections, and never gives them back. What a kept one was asked has been answered, so that
nothing of an earlier run is on the way. One that has broken meanwhile is reopened by the link that looks.
"""

import time
import weakref
from threading import Lock

from dictator.connection import Connection
from dictator.instance import Instance

# seconds, a little more than the observer's usual interval
KEPT = 90.0
Kept = dict[Instance, tuple[float, Connection]]


class IdleConnections:
    """At most one for each instance. Thread-safe. They are closed with this object, or once unused for KEPT seconds."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: Kept = {}
        weakref.finalize(self, _close_all, self._kept)

    def take(self, instance: Instance) -> Connection | None:
        """A connection for the caller alone."""
        with self._lock:
            _, connection = self._kept.pop(instance, (0.0, None))
        return connection

    def give(self, instance: Instance, connection: Connection) -> None:
        """Keeps it, in place of an older one; closes those that nobody has wanted for long."""
        now = time.monotonic()
        with self._lock:
            stale = [self._kept.pop(instance)] if instance in self._kept else []
            old = [key for key, (kept_at, _) in self._kept.items() if kept_at < now - KEPT]
            stale += [self._kept.pop(key) for key in old]
            self._kept[instance] = (now, connection)
        for _, unwanted in stale:
            unwanted.close()


def _close_all(kept: Kept) -> None:
    for _, connection in kept.values():
        connection.close()
