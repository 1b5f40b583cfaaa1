"""The last applies: receipts and refusals, for GET /history and the page. Advisory: no apply depends on it.

The observer keeps the entries in etcd, and hands them back to a dictator that has restarted.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from dictator.receipt import Receipt
from safe_redis.errors import DocumentError, Outdated, TopologyError
from safe_redis.topology import Topology

LENGTH = 100
APPLIED = "applied"
OPEN = "open"

Listener = Callable[["Entry"], None]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One apply. `id` is when it began (UTC), and sorts by time; `last` is when it was last repeated.

    `result` is `applied`, `open` (a 202), or the class of the error; `line` says what is open or what was wrong.
    `times` counts repetitions that changed nothing and ended alike.
    """

    id: str
    last: str
    master: str
    slaves: tuple[str, ...]
    force: bool
    result: str
    line: str
    duration_ms: float
    times: int = 1
    receipt: Receipt | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the topology was applied, be it with something open."""
        return self.result in (APPLIED, OPEN)

    def repeats(self, other: "Entry") -> bool:
        """Whether this is the same outcome again, with nothing changed."""
        changed = self.receipt is not None and self.receipt.changed
        same = (self.master, self.slaves, self.force, self.result) == (
            other.master,
            other.slaves,
            other.force,
            other.result,
        )
        return same and not changed


class Pause(msgspec.Struct, frozen=True):
    """Since when the observer is paused (UTC), and why."""

    paused_at: str = msgspec.field(default="", name="since")
    reason: str = ""

    @property
    def timestamp(self) -> float:
        """`paused_at` in seconds since 1970; 0 if it is no time."""
        try:
            return datetime.fromisoformat(self.paused_at).timestamp()
        except ValueError:
            return 0.0


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What GET /history answers, oldest entry first, and what the observer may PUT there."""

    entries: tuple[Entry, ...]
    paused: Pause | None = None


class Journal:
    """The last LENGTH entries. Thread-safe. Listeners are called after each apply, outside of its window."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._paused: Pause | None = None
        self._listeners: list[Listener] = []
        self.wanted: Topology | None = None

    def listen(self, listener: Listener) -> None:
        """Has `listener` called with each new entry. It must not block or raise."""
        self._listeners.append(listener)

    def record(self, topology: Topology, apply: Callable[[], Receipt], *, force: bool) -> Receipt:
        """Calls `apply`, and notes what came of it."""
        started = datetime.now(UTC)
        try:
            receipt = apply()
        except Outdated:  # a late PUT of an older topology says nothing about the wanted one
            raise
        except TopologyError as error:
            self.wanted = topology
            self._note(_entry(topology, started, type(error).__name__, str(error), force=force, receipt=None))
            raise
        self.wanted = topology
        result = OPEN if receipt.open else APPLIED
        self._note(_entry(topology, started, result, receipt.open, force=force, receipt=receipt))
        return receipt

    def history(self) -> History:
        """All that is known."""
        with self._lock:
            return History(entries=tuple(self._entries.values()), paused=self._paused)

    def restore(self, body: bytes) -> None:
        """Takes over what the observer has kept; DocumentError if it isn't a history."""
        try:
            history = msgspec.json.decode(body, type=History)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DocumentError(f"not a history: {error}") from None
        with self._lock:
            self._paused = history.paused
            known = {entry.id: entry for entry in history.entries} | self._entries
            self._entries = dict(sorted(known.items())[-LENGTH:])

    def _note(self, entry: Entry) -> None:
        with self._lock:
            latest = next(reversed(self._entries.values()), None)
            if latest and entry.repeats(latest):
                entry = msgspec.structs.replace(latest, last=entry.last, line=entry.line, times=latest.times + 1)
            self._entries[entry.id] = entry
            while len(self._entries) > LENGTH:
                del self._entries[next(iter(self._entries))]
        for listener in self._listeners:
            listener(entry)


def _entry(
    topology: Topology, started: datetime, result: str, line: str, *, force: bool, receipt: Receipt | None
) -> Entry:
    ended = datetime.now(UTC)
    return Entry(
        id=_text(started),
        last=_text(ended),
        master=str(topology.master),
        slaves=tuple(str(slave) for slave in topology.slaves),
        force=force,
        result=result,
        line=line,
        duration_ms=round((ended - started).total_seconds() * 1000, 1),
        receipt=receipt,
    )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
