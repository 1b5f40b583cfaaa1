"""Runs the writers' process around a switchover, and judges what the clients experienced."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from bench import ROOT
from redis_counter.tally import Outcomes, Tally, tally

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Order:
    """What the writers do: `old` and `next` are indexes of `instances`; `interval` is in seconds, after each ack."""

    instances: tuple[Address, ...]
    old: int
    next: int
    key: str
    writers: int
    sentinel: Address | None = None
    interval: float = 0.0

    def json(self) -> str:
        """The order as bench.writers reads it."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})


LONGEST = 60.0
"""Seconds after which the writers are killed; wait() then fails."""


class Load:
    """Runs the writers for the duration of a `with` block. `report` is set at its end."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.report: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.writers", self._order.json()],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._deadline = threading.Timer(LONGEST, self._process.kill)
        self._deadline.start()
        return self

    def wait(self, word: str) -> None:
        """Wait for the writers to print `writing` (all have an ack) or `moved` (the new master has acknowledged)."""
        line = self._line()
        if line != word:
            raise RuntimeError(f"the writers printed {line!r}, expected {word!r}")

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._process.stdin.close()  # type: ignore[union-attr] # it is a pipe
                self.report = json.loads(self._line())
        finally:
            self._deadline.cancel()
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()  # type: ignore[union-attr] # the same

    def _line(self) -> str:
        return self._process.stdout.readline().strip()  # type: ignore[union-attr] # the same


def judged(report: dict[str, Any], stored: Iterable[str]) -> Tally:
    """What is missing and what is a phantom, by redis-counter's comparison."""
    acked = tuple(value for _, _, value in report["acks"])
    return tally(Outcomes(acked, tuple(report["refused"]), tuple(report["unknown"])), stored)


def window(report: dict[str, Any], new: int, missing: Sequence[str]) -> float:
    """Milliseconds from the last ack before the switchover to the first ack of the new master, over all writers.

    Acks of the old master for writes that were lost don't count; if all were, it begins with the first of them.
    """
    lost = set(missing)
    begun = min(at for at, place, _ in report["acks"] if place != new)
    first = min(at for at, place, _ in report["acks"] if place == new)
    kept = (at for at, place, value in report["acks"] if place != new and value not in lost)
    last = max(kept, default=begun)
    return float(first - last) * 1000
