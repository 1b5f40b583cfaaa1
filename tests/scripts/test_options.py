"""What every script of the operator's has in common: --help, and unknown options are refused."""

import subprocess
from pathlib import Path

import pytest

from sandbox.process import ROOT

OPERATORS = (
    *("apply-topology.sh", "define-topology.sh", "mess-with-cluster.sh", "pause.sh", "redis-cli.sh", "render-units.sh"),
    *("rolling-restart.sh", "status.sh", "switch-master.sh"),
)
# hands its options on to redis-cli
OWN = [name for name in OPERATORS if name != "redis-cli.sh"]


def run(shell: list[str], name: str, *arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    command = [*shell, str(ROOT / "scripts" / name), *arguments]
    env = {"PATH": "/usr/bin:/bin", "ETCD_URL": "http://127.0.0.1:1", "RESTART": "true"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("name", OPERATORS)
def test_help_says_what_it_does_and_how_it_is_used(shell: list[str], name: str, tmp_path: Path) -> None:
    result = run(shell, name, "--help", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"scripts/{name}" in result.stdout
    assert "usage: " in result.stdout
    assert "set -eu" not in result.stdout


@pytest.mark.parametrize("name", OWN)
def test_an_unknown_option_is_refused_and_named(shell: list[str], name: str) -> None:
    result = run(shell, name, "--fore")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"{name}: unknown option --fore; {name} --help shows the known ones\n"


def test_these_are_all_of_the_operators_scripts() -> None:
    developers = {"base-images.sh", "check.sh", "demo.sh", "docker-engine.sh", "lock.sh", "setup.sh", "test.sh"}
    runnable = {path.name for path in (ROOT / "scripts").glob("*.sh") if path.stat().st_mode & 0o111}
    assert set(OPERATORS) <= runnable
    assert not {name for name in runnable - developers if "topology" in name} - set(OPERATORS)
