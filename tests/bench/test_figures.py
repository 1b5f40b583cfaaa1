"""The benchmarks' arithmetic, and that each script starts and explains itself."""

import subprocess
import sys

import pytest

from bench import ROOT, figures
from bench.load import judged, window
from bench.switchover import Sample, rows

SCRIPTS = ("switchover", "chain", "scale", "footprint", "counter")


@pytest.mark.parametrize(("percent", "expected"), [(1, 1), (50, 10), (95, 19), (99, 20), (100, 20)])
def test_a_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    assert figures.percentile([*range(20, 0, -1)], percent) == expected


def test_acks_that_were_lost_do_not_shorten_the_window() -> None:
    report = {
        "acks": [(1.0, 0, "survives"), (1.5, 0, "lost"), (2.0, 1, "new")],
        "refused": ["refused", "phantom"],
        "unknown": ["unknown"],
    }
    verdict = judged(report, ["survives", "new", "phantom", "unknown"])
    assert (verdict.missing, verdict.phantom) == (("lost",), ("phantom",))
    assert window(report, 1, verdict.missing) == pytest.approx(1000)
    assert window(report, 1, ()) == pytest.approx(500)


def test_rows_add_up_what_was_counted_and_keep_cells_apart() -> None:
    samples = [
        Sample("a", 1, window, 10, acked=100, missing=1, phantom=0, unknown=0, full_resyncs=2) for window in (3, 1, 2)
    ]
    samples.append(Sample("b", 8, 7, 20, acked=5, missing=0, phantom=0, unknown=0))
    assert rows(samples) == [
        ["a", 1, 3, 1, 2, 3, 10, 300, 3, 0, 6],
        ["b", 8, 1, 7, 7, 7, 20, 5, 0, 0, 0],
    ]


def test_the_last_line_holds_names_and_values() -> None:
    assert figures.ratios({"window/floor": 1.234, "missing": 0}) == "window/floor: 1.23, missing: 0"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_explains_itself(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{script}", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--quick" in done.stdout
