"""The pause for maintenance: a key in etcd, and while it exists the observer applies nothing."""

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

import msgspec

from safe_redis.etcd import Node, Store
from topology_observer import metrics


class Pause(msgspec.Struct, frozen=True):
    """Since when (UTC, ISO 8601) the observer is paused, and why; what pause.sh writes."""

    paused_at: str = msgspec.field(default="", name="since")
    reason: str = ""

    @property
    def timestamp(self) -> float:
        """`paused_at` in seconds since 1970; 0 if it is no time."""
        try:
            return datetime.fromisoformat(self.paused_at).timestamp()
        except ValueError:
            return 0.0

    def __str__(self) -> str:
        start = f" since {self.paused_at}" if self.paused_at else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"paused{start}{reason}"


class PauseKey:
    """Reads the key in a thread of its own, while the topology is read, so that a run takes no longer."""

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pause")

    def look_up(self) -> "Future[Pause | None]":
        """The pause, or None where there is none; StoreError where etcd doesn't answer."""
        return self._pool.submit(self._read)

    def _read(self) -> Pause | None:
        node = self._store.get(self._key)
        pause = _parse(node) if node else None
        metrics.show_pause(pause.timestamp if pause else None, pause.reason if pause else "")
        return pause


def _parse(node: Node) -> Pause:
    try:
        return msgspec.json.decode(node.value, type=Pause)
    except (msgspec.DecodeError, RecursionError):
        # whatever else somebody has written there pauses as well
        return Pause(reason=node.value[:200])
