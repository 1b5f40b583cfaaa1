"""Compares the outcomes of all writes with what the list holds. Pure: no I/O, no clock.

An acknowledged write must be in the list, or else it is missing. A refused one must not, or else it is a phantom. A
write without an answer may be in it or not; those are counted apart.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of each write, by its value: acknowledged, refused by the server, or not known."""

    acked: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def attempts(self) -> int:
        """Writes that were sent, whatever came of them."""
        return len(self.acked) + len(self.refused) + len(self.unknown)


@dataclass(frozen=True, slots=True)
class Tally:
    """The comparison: how many of each, and the values of those that must not be."""

    acked: int
    missing: tuple[str, ...]
    refused: int
    phantom: tuple[str, ...]
    unknown: int
    unknown_present: int
    duplicates: tuple[str, ...]

    @property
    def lossless(self) -> bool:
        """Whether nothing is missing and nothing is a phantom."""
        return not self.missing and not self.phantom

    @property
    def line(self) -> str:
        """The result in the words of the counter of 2014."""
        return f"ack'd: {self.acked} ({len(self.missing)} missing) err'd: {self.refused} ({len(self.phantom)} phantom)"


def join(outcomes: Iterable[Outcomes]) -> Outcomes:
    """The outcomes of several writers as those of one."""
    several = tuple(outcomes)
    return Outcomes(
        acked=tuple(value for one in several for value in one.acked),
        refused=tuple(value for one in several for value in one.refused),
        unknown=tuple(value for one in several for value in one.unknown),
    )


def tally(outcomes: Outcomes, stored: Iterable[str]) -> Tally:
    """Compare `outcomes` with the list's values; values that no writer sent are somebody else's and don't count."""
    times = Counter(stored)
    ours = (*outcomes.acked, *outcomes.refused, *outcomes.unknown)
    return Tally(
        acked=len(outcomes.acked),
        missing=tuple(value for value in outcomes.acked if value not in times),
        refused=len(outcomes.refused),
        phantom=tuple(value for value in outcomes.refused if value in times),
        unknown=len(outcomes.unknown),
        unknown_present=sum(value in times for value in outcomes.unknown),
        duplicates=tuple(value for value in ours if times[value] > 1),
    )
