"""Keeps the log from saying the same thing over and over: what goes on is logged again once a minute.

The observer marks a PUT that nobody has asked for (a resync, a retry) with a header, so that the
receivers can be quiet about it, too.
"""

import logging
import re
import time
from collections.abc import Callable
from threading import Lock

HEADER = "Topology-Repeat"
EVERY = 60.0
# the subject of how a PUT ended
OUTCOME = "outcome"
# how long something took, which differs each time
FIGURE = re.compile(r"\d+\.\d+ m?s")


class Repeats:
    """Remembers the last line about each subject. Thread-safe."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = Lock()
        self._last: dict[str, tuple[str, float]] = {}

    def forget(self) -> None:
        """Begin anew: the next line about each subject is logged."""
        with self._lock:
            self._last.clear()

    def log(self, level: int, subject: str, line: str, *, again: bool = True, what: str = "") -> None:
        """Log the line, at DEBUG if it was the last about its subject and, with `again`, is no minute old.

        `what` says the same as the line, without what may differ.
        """
        now = time.monotonic()
        what = what or FIGURE.sub("", line)
        with self._lock:
            known, at = self._last.get(subject, ("", 0.0))
            repeated = what == known and (not again or now - at < EVERY)
            if not repeated:
                self._last[subject] = (what, now)
        self._log.log(logging.DEBUG if repeated else level, "%s", line)


def is_repeat(header: Callable[[str], str | None]) -> bool:
    """Whether a request says that it only repeats an earlier one."""
    return header(HEADER) == "1"
