"""What the scripts share: options, the directory for files, and the output at the end."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import figures


def options(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options of every script."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: less than 40 s, rougher figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--directory", type=Path, help="where the servers keep their files (a temporary directory)")
    return parser


@contextmanager
def directory(given: Path | None) -> Iterator[Path]:
    """The directory for the servers' files, a temporary one unless it is given."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        yield Path(made)


def machine() -> dict[str, Any]:
    """What the figures depend on: the date, the machine, and its load now."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def say(text: str) -> None:
    """Report progress, on stderr: the result goes to stdout."""
    print(text, file=sys.stderr, flush=True)


def finish(result: Mapping[str, Any], ratios: Mapping[str, float], path: Path | None) -> None:
    """Write the JSON file if `path` is given; print the machine and, as the last line, the ratios."""
    where = machine()
    if path is not None:
        document = {"machine": where, "ratios": dict(ratios), **result}
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(
        f"\n{where['date'][:10]}, {where['cores']} cores of {where['cpu']}, Linux {where['kernel']}, "
        f"Python {where['python']}, load {where['load']:.1f}"
    )
    print(figures.ratios(ratios), flush=True)
