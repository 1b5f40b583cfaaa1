"""Follows the trigger in etcd by waitIndex, so that no event is lost, and hands triggers over.

Runs in a thread of its own: a trigger that arrives while another is worked on is known at once.
Those that nobody has taken yet are one: the latest.
"""

import logging
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from safe_redis.errors import StoreError
from safe_redis.etcd import Cleared, Node, Store
from topology_observer import metrics

log = logging.getLogger(__name__)

FORCE = "force"
START = "start"

# in seconds; a member that hangs is found out after a watch has timed out
WATCH_TIMEOUT = 10.0
RETRY_FIRST = 0.1
RETRY_MAX = 2.0


@dataclass(frozen=True, slots=True)
class Trigger:
    """What set a run off: the trigger's value, etcd's index of the last `force` in it, if any, and its own index."""

    value: str
    forced_at: int | None = None
    index: int = 0
    # etcd's history began anew: what was forced before is of no meaning any more
    anew: bool = False


class Mailbox:
    """Holds the triggers that nobody has taken yet, as one. Any thread may use it."""

    def __init__(self) -> None:
        self._filled = threading.Condition()
        self._trigger: Trigger | None = None

    def post(self, trigger: Trigger) -> None:
        """Replaces what is held, but a `force` that nobody has taken yet stays known, unless etcd began anew."""
        with self._filled:
            forced_at, held = trigger.forced_at, self._trigger
            if forced_at is None and held is not None and not trigger.anew:
                forced_at = held.forced_at
            anew = trigger.anew or (held is not None and held.anew)
            self._trigger = Trigger(trigger.value, forced_at, trigger.index, anew)
            self._filled.notify()

    def take(self, timeout: float | None) -> Trigger | None:
        """What is held, as soon as there is something; None after `timeout` seconds."""
        with self._filled:
            self._filled.wait_for(lambda: self._trigger is not None, timeout)
            taken, self._trigger = self._trigger, None
            return taken


class Watch:
    """Posts the trigger at `key` as it is at the start, and then each time that it is written."""

    def __init__(
        self, store: Store, key: str, mailbox: Mailbox, heartbeat: Path | None = None, timeout: float = WATCH_TIMEOUT
    ) -> None:
        self._store = store
        self._key = key
        self._mailbox = mailbox
        self._heartbeat = heartbeat
        self._timeout = timeout
        self._seen = 0  # modifiedIndex of the last event that was posted
        self._next = 0  # the index to watch from; 0: the trigger has never been read
        self._cluster = ""  # etcd's cluster id, when it was last read
        self._sure = True  # whether etcd's index is known to have gone on from there
        self._forces: set[int] = set()

    def follow(self) -> None:
        """Never returns; run it in a daemon thread."""
        pause = RETRY_FIRST
        while True:
            try:
                self._beat()
                self.step()
                pause = RETRY_FIRST
                continue
            except StoreError as error:
                metrics.WATCH_FAILURES.inc()
                log.warning("failed to watch: %s", error)
            except Exception:
                log.exception("failed to watch")
            self._sure = False
            time.sleep(pause)
            pause = min(2 * pause, RETRY_MAX)

    def _beat(self) -> None:
        """Shows that this thread lives, to whoever looks at the file's time. Not being able to is no reason to end."""
        if self._heartbeat is None:
            return
        try:
            self._heartbeat.touch()
        except OSError as error:
            log.warning("failed to touch %s: %s", self._heartbeat, error)

    def step(self) -> None:
        """One request or two: reads the trigger at the start, else waits for the next event."""
        if not self._next:
            self._start()
            return
        if not self._sure:
            self._catch_up()
        try:
            event = self._store.watch(self._key, self._next, self._timeout)
        except Cleared:
            self._resync()
            return
        if event is None:
            self._catch_up()
            return
        self._seen = event.node.index
        self._next = self._seen + 1
        if event.gone:
            log.info("ignored that %s was deleted", self._key)
        else:
            self._post(event.node)

    def _start(self) -> None:
        node, index = self._read()
        log.info("watches %s from index %d on", self._key, index + 1)
        self._seen, self._next = (node.index if node else 0), index + 1
        self._mailbox.post(_unforced(node))

    def _catch_up(self) -> None:
        """Moves the index to watch from past the events of other keys, of which etcd keeps 1000."""
        before = self._cluster
        node, index = self._read()
        self._sure = True
        if index + 1 < self._next or before != self._cluster:
            log.warning("found etcd at index %d after %d: its history began anew", index, self._next - 1)
            self._seen, self._next = (node.index if node else 0), index + 1
            self._forces.clear()
            self._mailbox.post(replace(_unforced(node), anew=True))
        elif node is None or node.index <= self._seen:
            self._next = index + 1
        # else there are events that the watch will hand out one after the other

    def _read(self) -> tuple[Node | None, int]:
        reading = self._store.read(self._key)
        self._cluster = reading.cluster
        return reading.node, reading.index

    def _resync(self) -> None:
        node, index = self._read()
        self._next = index + 1
        if node is None or node.index == self._seen:
            log.info("resynced: etcd has forgotten events, %s hasn't changed", self._key)
            return
        log.warning("resynced: etcd has forgotten events, %s has changed meanwhile", self._key)
        self._seen = node.index
        self._post(node)

    def _post(self, node: Node) -> None:
        forced = node.value.strip() == FORCE and node.index not in self._forces
        if forced:
            # a member of etcd that lags behind may hand out an event for the second time
            self._forces.add(node.index)
        metrics.EVENTS.inc()
        log.info("saw trigger %r at index %d", node.value[:80], node.index)
        self._mailbox.post(Trigger(node.value, node.index, node.index) if forced else _unforced(node))


def _unforced(node: Node | None) -> Trigger:
    if node is None:
        return Trigger(START)
    return Trigger(START if node.value.strip() == FORCE else node.value, index=node.index)
