"""A lock that is fair: callers get it in the order in which they asked, or an error within a bounded time."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from safe_redis.errors import Busy

# how many requests may wait for their turn; each holds a thread of the server
QUEUE = 32


class FairLock:
    """Lets one caller in at a time, in order of arrival; Busy after `seconds`, or if `most` wait already."""

    def __init__(self, seconds: float, most: int = QUEUE) -> None:
        self._seconds = seconds
        self._most = most
        self._queue: deque[object] = deque()
        self._changed = Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Waits for its turn, and holds it."""
        ticket = object()
        with self._changed:
            if len(self._queue) > self._most:
                raise Busy(f"{len(self._queue)} requests are under way or waiting, {self._most} may wait")
            self._queue.append(ticket)
            if not self._changed.wait_for(lambda: self._queue[0] is ticket, self._seconds):
                self._queue.remove(ticket)
                raise Busy(f"waited {self._seconds:g} s for an apply that is under way, gave up")
        try:
            yield
        finally:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()
