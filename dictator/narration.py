"""What the log says of one apply besides its outcome: every line where it acts or fails, otherwise none."""

import logging
from collections.abc import Iterable

from dictator.observation import Observation

SEEN = "observed %s"


class Narration:
    """Lines at INFO, held back until `speak_up`; `close` logs at DEBUG what was never told.

    Otherwise an apply that changes nothing would log a line for each instance.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._speaking = False
        self._held: list[tuple[str, tuple[object, ...]]] = []

    def say(self, line: str, *args: object) -> None:
        """Log the line, or hold it back."""
        if self._speaking:
            self._log.info(line, *args)
        else:
            self._held.append((line, args))

    def saw(self, observations: Iterable[Observation]) -> None:
        """Say what was observed; while it is held back, in place of what was observed before."""
        self._forget_sightings()
        for observed in observations:
            self.say(SEEN, observed)

    def _forget_sightings(self) -> None:
        self._held = [(line, args) for line, args in self._held if line != SEEN]

    def speak_up(self) -> None:
        """The run is going to act: log what was held back, and hold back nothing more.

        All but what was observed: a run looks again before it acts, and that is logged then.
        """
        self._speaking = True
        self._forget_sightings()
        self.close(logging.INFO)

    def close(self, level: int = logging.DEBUG) -> None:
        """Log what was held back."""
        for line, args in self._held:
            self._log.log(level, line, *args)
        self._held.clear()
