"""Measures the system side by side with what a user would pick instead, on real servers of this machine.

Each script runs by itself: `python -m bench.switchover --help`. A Python that lacks the project's packages hands over
to the one in .venv.
"""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_VENV = ROOT / ".venv" / "bin" / "python"

if importlib.util.find_spec("redis") is None and _VENV.exists() and Path(sys.executable) != _VENV:
    os.execv(_VENV, [str(_VENV), *sys.orig_argv[1:]])  # noqa: S606 - no shell wanted
