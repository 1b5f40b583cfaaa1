"""The operator's commands in README and docs/ do what the pages say: each is run, in order, against a real cluster."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cluster import Cluster
from sandbox.control import listening
from sandbox.process import ROOT, wait_until

STATUS = "scripts/status.sh"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPERATORS = re.compile(
    r"sh scripts/(define-topology|apply-topology|switch-master|status|pause|rolling-restart|redis-cli|render-units)\.sh"
)


def needs_only_the_sandbox(command: str) -> bool:
    """Whether it names no file or host of the reader's own, and ends without being asked to."""
    words = shlex.split(command, comments=True)
    return "<<" not in command and "--watch" not in words and not any(re.fullmatch(r"[A-Z]{3,}", w) for w in words)


def commands() -> list[str]:
    """Lines in the pages' shell blocks that run an operator's script, each once, in order."""
    commands = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
            commands += [line.strip() for line in block.splitlines() if OPERATORS.search(line)]
    return [command for command in dict.fromkeys(commands) if needs_only_the_sandbox(command)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster, listening(cluster):
        cluster.define(cluster.document("core-01"))
        cluster.apply()
        wait_until(lambda: cluster.resolves("master.redis-1.docker"), "the master is published", timeout=30)
        yield cluster


def test_there_are_commands_to_run() -> None:
    assert len(commands()) >= 10


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_pages_works(cluster: Cluster, command: str, tmp_path: Path) -> None:
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    (tmp_path / "topology.json").write_text(json.dumps(cluster.document("core-01")))
    # how a node is restarted is the site's affair, and so is where files may be written
    restart = f"{sys.executable} -m sandbox restart {{host}} --directory {cluster.directory}"
    command = re.sub(r"RESTART='[^']*'", f"RESTART={shlex.quote(restart)}", command)
    command = re.sub(r"/\w+/redis-2\b", str(tmp_path / "redis-2"), command)
    env = {**os.environ, **cluster.environment(), "PYTHONPATH": str(ROOT)}

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    if STATUS in command:  # what a command before it has begun may not be over
        wait_until(lambda: run().returncode == 0, "all is well", timeout=60, interval=0.2)
        return
    done = run()
    # 2: applied, and a slave is still syncing
    assert done.returncode in (0, 2), done.stdout + done.stderr
    assert done.returncode == 0 or "applied" in done.stdout
