"""Keeps the log from saying the same thing over and over: what goes on is logged again once a minute."""

import logging
import re
import time

log = logging.getLogger("topology_observer")

EVERY = 60.0
# how long something took, which differs each time
FIGURE = re.compile(r"\d+\.\d+ m?s")


class Repeats:
    """Remembers the last line about each subject. Used by one thread."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, float]] = {}

    def forget(self) -> None:
        """Begin anew: the next line about each subject is logged."""
        self._last.clear()

    def log(self, level: int, subject: str, line: str, *, again: bool = True) -> None:
        """Log the line, at DEBUG if it was the last about its subject and, with `again`, is no minute old."""
        now = time.monotonic()
        what = FIGURE.sub("", line)
        known, at = self._last.get(subject, ("", 0.0))
        if what == known and (not again or now - at < EVERY):
            log.debug("%s", line)
            return
        self._last[subject] = (what, now)
        log.log(level, "%s", line)
