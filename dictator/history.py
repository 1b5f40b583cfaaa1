"""Which instance's data includes which other's: the ancestor rule. Pure: no I/O, no clock.

A replication history is an id and an offset; a promoted instance also knows the history that it forked off (PSYNC2:
INFO's master_replid, master_replid2 and second_repl_offset). Equal offsets of different ids prove nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class History:
    """What one instance has applied: `offset` bytes of `replid`, the first `fork` of them those of `replid2`.

    `counted` tells that every write since the fork has moved the offset.
    """

    replid: str
    offset: int
    replid2: str = ""
    fork: int = -1
    counted: bool = True

    def holds(self, replid: str, offset: int) -> bool:
        """Whether the first `offset` bytes of the history `replid` are part of this one."""
        if replid == self.replid:
            return offset <= self.offset
        return bool(self.replid2) and replid == self.replid2 and offset <= self.fork

    @property
    def unwritten(self) -> bool:
        """Whether it was promoted, and has provably taken no write since."""
        return bool(self.replid2) and self.counted and self.offset == self.fork

    def points(self) -> Iterator[tuple[str, int]]:
        """The places at which this history ends: two where nothing was written since the promotion."""
        yield self.replid, self.offset
        if self.unwritten:
            yield self.replid2, self.offset


def includes(later: History, earlier: History) -> bool:
    """Whether `later` provably holds everything that `earlier` holds."""
    return any(later.holds(*point) for point in earlier.points())
