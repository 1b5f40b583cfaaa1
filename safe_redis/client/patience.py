"""How long a command is tried again, and how soon."""

import random
import time
from typing import Protocol, Self

from safe_redis.client.errors import NoMaster
from safe_redis.client.locate import Locator

FIRST, FACTOR, LONGEST = 0.001, 1.5, 0.1
"""Seconds of the first pause, its growth, and the longest one. A switch takes a few milliseconds."""


class Pool(Protocol):
    """What a pool says of its service."""

    patience: float
    locator: Locator


class Patience:
    """The attempts of one command. `seconds` are counted from its first failure."""

    def __init__(self, seconds: float, service: str) -> None:
        self._seconds = seconds
        self._service = service
        self._deadline = time.monotonic() + seconds
        self._failures = 0

    @classmethod
    def of(cls, pool: Pool) -> Self:
        """For a command that has just failed on this pool."""
        return cls(pool.patience, pool.locator.service)

    def pause(self, failure: Exception) -> float:
        """Seconds to wait before the next attempt: none at first, then longer. NoMaster when the time is up."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise NoMaster(f"no master at {self._service} for {self._seconds:g} s: {failure}") from failure
        self._failures += 1
        if self._failures == 1:
            return 0.0
        pause = min(LONGEST, FIRST * FACTOR ** (self._failures - 2))
        return min(left, pause * random.uniform(0.5, 1))  # noqa: S311 - spreads clients, guards nothing

    def wait(self, failure: Exception) -> None:
        """Sleep for the pause."""
        seconds = self.pause(failure)
        if seconds:  # a sleep of nothing lets all other threads run first
            time.sleep(seconds)
