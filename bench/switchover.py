"""Changes the master under writers, in every way that a user could pick, and compares what the writers lived through.

Three real instances a cell, all at once on one machine; each round makes a switch in every cell, idle (one writer) and
with eight, the order of the cells turning from round to round. Cells whose switch takes milliseconds make five a round.

window: from the last ack before the switch that survived to the first ack of the new master, at the writers, which
know the new address at once (with a Sentinel: which follow +switch-master). A single writer writes without a pause;
of eight, each waits 1 ms after an ack, or else the writers would take all of two cores. operation: until the tool
itself says that it is done. missing: acknowledged, but not there afterwards. phantom: refused, but there. All durations
are in ms.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench import common, figures
from bench.cells import Cell, Dictator
from bench.floor import Floor
from bench.load import Load, Order, judged, window
from bench.resp import Connection
from bench.rivals import CoordinatedFailover, FailoverTo, Ordering2014, SentinelFailover
from sandbox import binaries

HEADS = (
    "cell",
    "writers",
    "switches",
    "window min",
    "median",
    "p99",
    "operation median",
    "acked",
    "missing",
    "phantom",
    "full resyncs",
)
CELLS: tuple[type[Cell], ...] = (Dictator, Floor, FailoverTo, SentinelFailover, Ordering2014)
WRITERS = (1, 8)
# the flavour whose Sentinel knows FAILOVER COORDINATED
COORDINATES = "valkey-9.1"
# how long the writers write before and after a switch, in seconds
LEAD = 0.15
# between an ack and the next write of each of several writers, in seconds
INTERVAL = 0.001


@dataclass(frozen=True, slots=True)
class Sample:
    """One switch. Durations are in ms."""

    cell: str
    writers: int
    window: float
    operation: float
    acked: int
    missing: int
    phantom: int
    unknown: int
    full_resyncs: int = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run all cells, print the table; 1 if the dictator has lost a write."""
    chosen = _options().parse_args(argv)
    Cell.flavour = chosen.flavour
    with common.directory(chosen.directory) as directory:
        samples = measure(directory, 1 if chosen.quick else chosen.switches, chosen.writers)
    print(figures.table(HEADS, rows(samples)))
    if chosen.plot is not None:
        from bench import plot  # noqa: PLC0415 - matplotlib takes a second to load, and a plot is seldom wanted

        plot.windows({(sample.cell, sample.writers): _windows(samples, sample) for sample in samples}, chosen.plot)
    common.finish({"switches": [asdict(sample) for sample in samples]}, ratios(samples), chosen.json)
    lost = [sample for sample in samples if sample.cell == "dictator" and (sample.missing or sample.phantom)]
    return 1 if lost else 0


def _options() -> argparse.ArgumentParser:
    parser = common.options(__doc__)
    parser.add_argument("--switches", type=int, default=20, help="rounds, each with a switch in every cell (20)")
    parser.add_argument("--writers", type=int, nargs="+", default=WRITERS, help="writers side by side (1 8)")
    parser.add_argument(
        "--flavour", choices=binaries.FLAVOURS, default=Cell.flavour, help=f"the server of all cells ({Cell.flavour})"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the windows there, as SVG")
    return parser


def measure(directory: Path, rounds: int, writers: Sequence[int]) -> list[Sample]:
    """All switches of all rounds."""
    samples: list[Sample] = []
    with contextlib.ExitStack() as stack:
        kinds: tuple[type[Cell], ...] = CELLS if Cell.flavour != COORDINATES else (*CELLS, CoordinatedFailover)
        cells = [stack.enter_context(kind(directory / kind.name.replace(" ", "-"))) for kind in kinds]
        runs = [Run(cell) for cell in cells]
        started = time.monotonic()
        for number in range(rounds):
            # the Sentinel begins: it settles while the others have their turns
            first = (CELLS.index(SentinelFailover) + number) % len(runs)
            turned = runs[first:] + runs[:first]
            for count in writers:
                for run in turned:
                    for _ in range(run.cell.repeats):
                        run.switch(count)
            common.say(f"round {number + 1} of {rounds}, {time.monotonic() - started:.0f} s")
        for run in runs:
            run.settle()
            samples += run.samples
    return samples


class Run:
    """One cell's switches. It settles when its next turn comes, while others have theirs: a Sentinel needs 10 s."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.samples: list[Sample] = []
        self._resyncs = cell.full_resyncs()

    def settle(self) -> None:
        """Wait until the last switch has come to its end, full resyncs and all."""
        self.cell.settle()
        if self.samples:
            resyncs = self.cell.full_resyncs()
            self.samples[-1] = replace(self.samples[-1], full_resyncs=resyncs - self._resyncs)
            self._resyncs = resyncs

    def switch(self, writers: int) -> None:
        """One switch under writers, measured; the list that they wrote is deleted."""
        self.settle()
        cell, key = self.cell, "bench"
        interval = INTERVAL if writers > 1 else 0.0
        old, new = cell.master, (cell.master + 1) % len(cell.servers)
        with Load(Order(cell.addresses, old, new, key, writers, cell.sentinel, interval)) as load:
            load.wait("writing")
            time.sleep(LEAD)
            started = time.perf_counter()
            cell.switch(new)
            operation = (time.perf_counter() - started) * 1000
            load.wait("moved")
            time.sleep(LEAD)
        master = Connection(*cell.addresses[cell.master])
        verdict = judged(load.report, master.send(("LRANGE", key, 0, -1), ("DEL", key))[0])
        master.close()
        self.samples.append(
            Sample(
                cell.name,
                writers,
                window(load.report, cell.master, verdict.missing),
                operation,
                verdict.acked,
                len(verdict.missing),
                len(verdict.phantom),
                verdict.unknown,
            )
        )


def rows(samples: Sequence[Sample]) -> list[list[object]]:
    """A row for each cell and number of writers, in the order in which they came first."""
    made = []
    for writers, cell in sorted({(sample.writers, sample.cell): None for sample in samples}, key=lambda pair: pair[0]):
        mine = [sample for sample in samples if (sample.writers, sample.cell) == (writers, cell)]
        windows = [sample.window for sample in mine]
        made.append(
            [
                cell,
                writers,
                len(mine),
                min(windows),
                figures.median(windows),
                figures.percentile(windows, 99),
                figures.median([sample.operation for sample in mine]),
                *(
                    sum(getattr(sample, name) for sample in mine)
                    for name in ("acked", "missing", "phantom", "full_resyncs")
                ),
            ]
        )
    return made


def ratios(samples: Sequence[Sample]) -> Mapping[str, float]:
    """The dictator against each other cell, by windows, for each number of writers."""
    summary: dict[str, Any] = {}
    for writers in sorted({sample.writers for sample in samples}):
        by_cell = {
            name: [sample.window for sample in samples if (sample.cell, sample.writers) == (name, writers)]
            for name in {sample.cell for sample in samples}
        }
        mine, floor = by_cell["dictator"], by_cell["floor"]
        summary |= {
            f"window/floor median w{writers}": figures.median(mine) / figures.median(floor),
            f"window/floor p99 w{writers}": figures.percentile(mine, 99) / figures.percentile(floor, 99),
        }
        summary |= {
            f"{name}/window median w{writers}": figures.median(by_cell[name]) / figures.median(mine)
            for name in ("FAILOVER TO", "SENTINEL FAILOVER", "COORDINATED", "2014 ordering")
            if name in by_cell
        }
    ours = [sample for sample in samples if sample.cell == "dictator"]
    sentinel = [sample for sample in samples if sample.cell == "SENTINEL FAILOVER"]
    return summary | {
        "missing": sum(sample.missing for sample in ours),
        "phantom": sum(sample.phantom for sample in ours),
        "lost by Sentinel": sum(sample.missing for sample in sentinel) / sum(sample.acked for sample in sentinel),
    }


def _windows(samples: Sequence[Sample], like: Sample) -> list[float]:
    return [sample.window for sample in samples if (sample.cell, sample.writers) == (like.cell, like.writers)]


if __name__ == "__main__":
    sys.exit(main())
