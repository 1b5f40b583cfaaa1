"""A fair lock: callers get it in the order of their arrival, or an error within a bounded time."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from safe_redis.errors import Busy

# how many requests may wait for their turn; each of them occupies a thread of the server
QUEUE = 32


class FairLock:
    """Admits one caller at a time, in order of arrival. Raises Busy after `seconds`, or if `most` are waiting."""

    def __init__(self, seconds: float, most: int = QUEUE) -> None:
        self._seconds = seconds
        self._most = most
        self._queue: deque[object] = deque()
        self._changed = Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the lock, and hold it for the duration of the block."""
        ticket = object()
        with self._changed:
            if len(self._queue) > self._most:
                raise Busy(f"{len(self._queue)} requests are running or waiting; the limit is {self._most}")
            self._queue.append(ticket)
            if not self._changed.wait_for(lambda: self._queue[0] is ticket, self._seconds):
                self._queue.remove(ticket)
                raise Busy(f"gave up after waiting {self._seconds:g} s for the requests before it")
        try:
            yield
        finally:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()
