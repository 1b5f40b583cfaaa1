"""A short soak on all flavours; `python -m tests.dictator.soak` does longer ones."""

import subprocess
import sys

import pytest

from sandbox.process import ROOT

SECONDS = 60
SEED = 10


@pytest.mark.timeout(600)
def test_a_minute_of_accidents_costs_no_write() -> None:
    argv = [sys.executable, "-m", "tests.dictator.soak", "--seconds", str(SECONDS), "--seed", str(SEED)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert f"seed {SEED}" in done.stdout
