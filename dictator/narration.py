"""What the log says of one apply: everything, or, where nobody asked for it, only once it changes something."""

import logging


class Narration:
    """Lines at INFO; with `quiet` they are held back until `speak_up`, and end at DEBUG if that never comes."""

    def __init__(self, log: logging.Logger, *, quiet: bool = False) -> None:
        self._log = log
        self._quiet = quiet
        self._held: list[tuple[str, tuple[object, ...]]] = []

    def say(self, line: str, *args: object) -> None:
        """Log the line, or hold it back."""
        if self._quiet:
            self._held.append((line, args))
        else:
            self._log.info(line, *args)

    def speak_up(self) -> None:
        """There is something to tell: log what was held back, and hold back nothing more."""
        self._quiet = False
        self.close(logging.INFO)

    def close(self, level: int = logging.DEBUG) -> None:
        """Log what was held back."""
        for line, args in self._held:
            self._log.log(level, line, *args)
        self._held.clear()
