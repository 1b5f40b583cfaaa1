"""One writer: pushes one uuid after the other onto the list, and keeps what it was told of each."""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from redis.connection import Connection
from redis.exceptions import RedisError, ResponseError

from redis_counter.master import Master, NoMasterError, pause_after
from redis_counter.tally import Outcomes


@dataclass(frozen=True, slots=True)
class Report:
    """What one writer did. `longest_pause` is from one ack to the next, in seconds; `gave_up` says why it stopped."""

    outcomes: Outcomes
    longest_pause: float
    errors: Mapping[str, int]
    gave_up: str = ""


def refused(error: RedisError) -> bool:
    """Whether the server itself said no. Anything else broke the connection, so the write may have happened."""
    return isinstance(error, ResponseError) or error.status_code is not None


class Writer:
    """Writes to `key` on whatever is master. `interval` is in seconds; `wrote` is called after each write."""

    def __init__(
        self, master: Master, key: str, interval: float, stopped: Callable[[], bool], wrote: Callable[[], None]
    ) -> None:
        self._master = master
        self._interval = interval
        self._stopped = stopped
        self._wrote = wrote
        name = key.encode()
        self._command = b"*3\r\n$5\r\nRPUSH\r\n$%d\r\n%b\r\n$36\r\n" % (len(name), name)
        self._connection: Connection | None = None
        self._acked: list[str] = []
        self._refused: list[str] = []
        self._unknown: list[str] = []
        self._errors: Counter[str] = Counter()
        self._errors_in_a_row = 0
        self._last_ack: float | None = None
        self._longest_pause = 0.0

    def run(self, count: int) -> Report:
        """Write `count` uuids, each sent once; fewer when stopped or when no master is to be found."""
        gave_up = ""
        due = time.monotonic()
        try:
            while count and not self._stopped():
                if self._connection is None:
                    self._connection = self._master.connection(self._stopped)
                self._write(self._connection, str(uuid.uuid4()))
                self._wrote()
                count -= 1
                if self._interval:
                    due = self._sleep_until(due + self._interval)
        except NoMasterError as error:
            gave_up = str(error)
        if self._connection is not None:
            self._connection.disconnect()
        outcomes = Outcomes(tuple(self._acked), tuple(self._refused), tuple(self._unknown))
        return Report(outcomes, self._longest_pause, dict(self._errors), gave_up)

    def _write(self, connection: Connection, value: str) -> None:
        try:
            connection.send_packed_command([self._command + value.encode() + b"\r\n"])
            connection.read_response()
        except RedisError as error:
            self._failed(value, error)
            return
        now = time.monotonic()
        self._acked.append(value)
        if self._last_ack is not None and now - self._last_ack > self._longest_pause:
            self._longest_pause = now - self._last_ack
        self._last_ack = now
        self._errors_in_a_row = 0

    def _failed(self, value: str, error: RedisError) -> None:
        """Note it and leave the connection; the pause keeps an outage from using up all writes at once."""
        if refused(error):
            self._refused.append(value)
            self._errors[error.status_code or str(error).partition(" ")[0]] += 1
        else:
            self._unknown.append(value)
            self._errors[type(error).__name__] += 1
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None
        self._errors_in_a_row += 1
        time.sleep(pause_after(self._errors_in_a_row))

    @staticmethod
    def _sleep_until(due: float) -> float:
        """When the next write is due: an outage shifts the rest, and isn't made up for by a burst."""
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
            return due
        return now
