"""Checks what concurrent writers and readers of one list saw against what the final master holds. Pure: no I/O.

Every value is appended once, so that the final list is the order of all writes, and every read must be a beginning of
it. Times are those of one clock, in seconds; an operation took effect at some instant between its start and its end.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

Outcome = Literal["acked", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Append:
    """RPUSH of one value."""

    value: str
    start: float
    end: float
    outcome: Outcome = "acked"


@dataclass(frozen=True, slots=True)
class Read:
    """LRANGE of the whole list, by one client; clients read one after the other."""

    client: str
    values: tuple[str, ...]
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What was wrong; each tuple holds a sentence for every case."""

    lost: tuple[str, ...]
    aborted: tuple[str, ...]
    doubled: tuple[str, ...]
    reordered: tuple[str, ...]
    diverged: tuple[str, ...]
    stale: tuple[str, ...]
    backwards: tuple[str, ...]

    @property
    def writes_are_sound(self) -> bool:
        """Whether no write was lost, doubled or reordered, and no refused one took effect."""
        return not (self.lost or self.aborted or self.doubled or self.reordered)

    @property
    def reads_are_sound(self) -> bool:
        """Whether every read saw all that was acknowledged before it, in order, and no client went back in time."""
        return not (self.diverged or self.stale or self.backwards)


def check(appends: Sequence[Append], reads: Sequence[Read], final: Sequence[str]) -> Findings:
    """All findings; `final` is the list as the last master holds it."""
    place = {value: number for number, value in enumerate(final)}
    refused = {append.value for append in appends if append.outcome == "refused"}
    seen = set(final).union(*(read.values for read in reads))
    return Findings(
        lost=tuple(
            f"{append.value} was acknowledged and is gone"
            for append in appends
            if append.outcome == "acked" and append.value not in place
        ),
        aborted=tuple(f"{value} was refused and is there" for value in sorted(refused & seen)),
        doubled=tuple(f"{value} is there more than once" for value in _repeated(final)),
        reordered=tuple(_reordered(appends, final)),
        diverged=tuple(
            f"{read.client} read {len(read.values)} values that are no beginning of the final list"
            for read in reads
            if read.values != tuple(final[: len(read.values)])
        ),
        stale=tuple(_stale(appends, reads, place)),
        backwards=tuple(_backwards(reads)),
    )


def _repeated(values: Sequence[str]) -> list[str]:
    return [value for value, times in Counter(values).items() if times > 1]


def _reordered(appends: Iterable[Append], final: Sequence[str]) -> Iterable[str]:
    """Values that stand before one that was acknowledged before they were sent."""
    sent = {append.value: append for append in appends}
    earliest, first = inf, ""
    for value in reversed(final):
        append = sent.get(value)
        if append is None:
            continue
        if earliest < append.start:
            yield f"{value} stands before {first}, which was acknowledged before it was sent"
        if append.outcome == "acked" and append.end < earliest:
            earliest, first = append.end, value


def _stale(appends: Iterable[Append], reads: Iterable[Read], place: dict[str, int]) -> Iterable[str]:
    """Reads that miss a value which was acknowledged before they were sent."""
    events: list[tuple[float, int, Append | Read]] = [(a.end, 0, a) for a in appends if a.outcome == "acked"]
    events += [(read.start, 1, read) for read in reads]
    needed, value = -1, ""
    for _, _, event in sorted(events, key=lambda entry: entry[:2]):
        if isinstance(event, Append):
            if place.get(event.value, -1) > needed:
                needed, value = place[event.value], event.value
        elif len(event.values) <= needed:
            yield f"{event.client} read {len(event.values)} values without {value}, which was acknowledged before"


def _backwards(reads: Iterable[Read]) -> Iterable[str]:
    """Reads that show less than an earlier one of the same client."""
    longest: dict[str, int] = {}
    for read in sorted(reads, key=lambda read: read.start):
        if len(read.values) < longest.get(read.client, 0):
            yield f"{read.client} read {len(read.values)} values after {longest[read.client]}"
        longest[read.client] = max(len(read.values), longest.get(read.client, 0))
