"""Draws the windows of a run: one dot per switchover, on a logarithmic scale."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

from bench.figures import median, shown

COLOURS = {1: "#1b6ca8", 8: "#d1495b"}
OTHER = "#666666"


def windows(cells: Mapping[tuple[str, int], Sequence[float]], path: Path) -> None:
    """A strip for each (cell, writers), in ms, with a bar and a figure at its median."""
    names = list(dict.fromkeys(name for name, _ in cells))
    counts = sorted({count for _, count in cells})
    # the same figures give the same file
    plt.rcParams.update({"svg.hashsalt": "windows", "font.size": 10})
    figure, axes = plt.subplots(figsize=(8, 0.75 * len(names) + 1.2), layout="constrained")
    for (name, count), values in cells.items():
        middle = names.index(name) + (counts.index(count) - (len(counts) - 1) / 2) * 0.34
        places = [middle + (number % 5 - 2) * 0.03 for number in range(len(values))]
        colour = COLOURS.get(count, OTHER)
        axes.scatter(values, places, s=14, alpha=0.5, color=colour, linewidths=0)
        axes.plot([median(values)] * 2, [middle - 0.14, middle + 0.14], color=colour, linewidth=2)
        axes.text(max(values) * 1.25, middle, f"{shown(median(values))} ms", va="center", color=colour, fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(right=axes.get_xlim()[1] * 2.5)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("ms without an acknowledged write, one dot a switch (bar and figure: median)")
    axes.grid(axis="x", which="major", alpha=0.3)
    for count in counts:
        label = "1 writer" if count == 1 else f"{count} writers"
        axes.scatter([], [], s=20, color=COLOURS.get(count, OTHER), label=label)
    axes.legend(loc="upper right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="svg", metadata={"Date": None}, facecolor="white")
