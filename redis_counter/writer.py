"""One writer: pushes one uuid after the other onto the list, and notes what became of each."""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from redis.exceptions import RedisError, ResponseError

from redis_counter.master import NoMasterError, pause_after
from redis_counter.tally import Outcomes
from safe_redis.client import NoMaster


@dataclass(frozen=True, slots=True)
class Report:
    """What one writer did. `longest_pause` is from one ack to the next, in seconds; `gave_up` says why it stopped."""

    outcomes: Outcomes
    longest_pause: float
    errors: Mapping[str, int]
    gave_up: str = ""


class Sender(Protocol):
    """Sends values to the master: the plain way, or by safe_redis.client."""

    def send(self, value: str) -> None:
        """Returns when the write is acknowledged. RedisError otherwise; NoMasterError where no master is found."""

    def close(self) -> None:
        """Disconnect."""


def refused(error: RedisError) -> bool:
    """Whether the write was certainly not executed. Otherwise nobody knows."""
    return isinstance(error, ResponseError | NoMaster) or error.status_code is not None


class Writer:
    """Writes by `sender`. `interval` is in seconds; `wrote` is called after each write."""

    def __init__(
        self,
        sender: Sender,
        interval: float,
        stopped: Callable[[], bool],
        wrote: Callable[[], None],
        patience: float = 60.0,
    ) -> None:
        self._sender = sender
        self._interval = interval
        self._patience = patience
        self._stopped = stopped
        self._wrote = wrote
        self._acked: list[str] = []
        self._refused: list[str] = []
        self._unknown: list[str] = []
        self._errors: Counter[str] = Counter()
        self._errors_in_a_row = 0
        self._last_ack: float | None = None
        self._longest_pause = 0.0

    def run(self, count: int) -> Report:
        """Write `count` uuids, each once; fewer when stopped, or when there is no master for `patience` seconds."""
        gave_up = ""
        due = time.monotonic()
        try:
            while count and not self._stopped():
                self._write(str(uuid.uuid4()))
                self._wrote()
                count -= 1
                if self._interval:
                    due = self._sleep_until(due + self._interval)
        except NoMasterError as error:
            gave_up = str(error)
        self._sender.close()
        outcomes = Outcomes(tuple(self._acked), tuple(self._refused), tuple(self._unknown))
        return Report(outcomes, self._longest_pause, dict(self._errors), gave_up)

    def _write(self, value: str) -> None:
        started = time.monotonic()
        try:
            self._sender.send(value)
        except RedisError as error:
            self._failed(value, error)
            if isinstance(error, NoMaster) and time.monotonic() - (self._last_ack or started) >= self._patience:
                raise NoMasterError(str(error)) from None
            return
        now = time.monotonic()
        self._acked.append(value)
        if self._last_ack is not None and now - self._last_ack > self._longest_pause:
            self._longest_pause = now - self._last_ack
        self._last_ack = now
        self._errors_in_a_row = 0

    def _failed(self, value: str, error: RedisError) -> None:
        """Note the error; the pause keeps an outage from using up all writes at once."""
        if refused(error):
            self._refused.append(value)
            self._errors[self._name(error)] += 1
        else:
            self._unknown.append(value)
            self._errors[type(error).__name__] += 1
        self._errors_in_a_row += 1
        time.sleep(pause_after(self._errors_in_a_row))

    @staticmethod
    def _name(error: RedisError) -> str:
        if isinstance(error, NoMaster):
            return "NoMaster"
        return error.status_code or str(error).partition(" ")[0]

    @staticmethod
    def _sleep_until(due: float) -> float:
        """When the next write is due: an outage shifts the rest, and isn't made up for by a burst."""
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
            return due
        return now
