"""Reads the services' JSON logs: when each said what, and how long it took by its own account. Pure but for `since`."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

TOOK = re.compile(r"[ (:](\d+\.\d+) ms")


class Line(NamedTuple):
    """A message, its Unix time in seconds, and the ms that it says it took (0 where it doesn't)."""

    at: float
    text: str
    ms: float

    @property
    def began(self) -> float:
        """The Unix time at which what it tells of began."""
        return self.at - self.ms / 1000


class NotLoggedError(Exception):
    """A line that has to be there is not; the message says which."""


def since(log: Path, offset: int) -> tuple[Line, ...]:
    """The lines from that place of the file on."""
    with log.open("rb") as file:
        file.seek(offset)
        return tuple(_lines(file.read().decode().splitlines()))


def _lines(texts: Sequence[str]) -> Iterator[Line]:
    for text in texts:
        if not text.startswith("{"):
            continue
        told = json.loads(text)
        found = TOOK.search(told["message"])
        at = datetime.fromisoformat(told["time"]).timestamp()
        yield Line(at, told["message"], float(found[1]) if found else 0.0)


def first(lines: Sequence[Line], start: str) -> Line:
    """The first line that starts so."""
    for line in lines:
        if line.text.startswith(start):
            return line
    raise NotLoggedError(f"no line starts with {start!r} among {[line.text for line in lines]}")


def took(lines: Sequence[Line], *starts: str) -> float:
    """The ms of all lines that start so, together."""
    return sum(line.ms for line in lines if line.text.startswith(starts))
