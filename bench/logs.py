"""Reads the services' JSON logs: what was logged when, and the durations given there. Only `lines_after` does I/O."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

TOOK = re.compile(r"[ (:](\d+\.\d+) ms")


class Line(NamedTuple):
    """A message, its Unix time in seconds, and the duration that it gives in ms (0 if it gives none)."""

    at: float
    text: str
    ms: float

    @property
    def began(self) -> float:
        """The Unix time at which the logged action began."""
        return self.at - self.ms / 1000


class NotLoggedError(Exception):
    """An expected line is missing; the message says which."""


def lines_after(log: Path, offset: int) -> tuple[Line, ...]:
    """The lines from the offset (bytes) on, without one at the end that is only half written yet."""
    with log.open("rb") as file:
        file.seek(offset)
        complete, _, _ = file.read().rpartition(b"\n")
        return tuple(_lines(complete.decode().splitlines()))


def _lines(texts: Sequence[str]) -> Iterator[Line]:
    for text in texts:
        if not text.startswith("{"):
            continue
        entry = json.loads(text)
        duration = TOOK.search(entry["message"])
        at = datetime.fromisoformat(entry["time"]).timestamp()
        yield Line(at, entry["message"], float(duration[1]) if duration else 0.0)


def first(lines: Sequence[Line], start: str) -> Line:
    """The first line that starts with `start`."""
    for line in lines:
        if line.text.startswith(start):
            return line
    raise NotLoggedError(f"no line starts with {start!r} among {[line.text for line in lines]}")


def took(lines: Sequence[Line], *starts: str) -> float:
    """The total duration in ms of all lines that start with one of `starts`."""
    return sum(line.ms for line in lines if line.text.startswith(starts))
