"""Benchmarks: the system side by side with its alternatives, on real servers on this machine.

Each is a module to run: `python -m bench.switchover --help`. If the running Python lacks the project's packages, the
one in .venv is started instead.
"""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_VENV = ROOT / ".venv" / "bin" / "python"

if importlib.util.find_spec("redis") is None and _VENV.exists() and Path(sys.executable) != _VENV:
    os.execv(_VENV, [str(_VENV), *sys.orig_argv[1:]])  # noqa: S606 - no shell wanted
