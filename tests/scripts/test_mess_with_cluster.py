"""mess-with-cluster.sh: rotates whatever topology is defined, until it is told to stop."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from sandbox.keys import Keys
from sandbox.process import ROOT, wait_until
from tests.scripts.conftest import Run

TOPOLOGY = "/config/redis-1/topology"
TRIGGER = "/config/redis-1/topology-trigger"
A: dict[str, Any] = {"address": "core-01.redis-1.docker"}
B: dict[str, Any] = {"address": "10.0.0.2", "port": 6380}
C: dict[str, Any] = {"address": "core-03.redis-1.docker"}


def define(keys: Keys, master: dict[str, Any], *slaves: dict[str, Any]) -> None:
    keys.put(TOPOLOGY, json.dumps({"master": master, "slaves": slaves}))


def defined(keys: Keys) -> Any:
    return json.loads(keys.get(TOPOLOGY) or "null")


@contextmanager
def messing(
    shell: list[str], environment: Mapping[str, str], stdin: int = subprocess.DEVNULL, interval: str = "0.05"
) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [*shell, str(ROOT / "scripts/mess-with-cluster.sh")],
        env={**environment, "MESS_INTERVAL": interval},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_rotates_the_master_and_keeps_every_instance_as_it_was_written(
    shell: list[str], environment: Mapping[str, str], keys: Keys
) -> None:
    define(keys, A, B, C)
    with messing(shell, environment) as process:
        assert process.stdout
        masters = [process.stdout.readline() for _ in range(4)]
        process.terminate()
        assert process.wait(10) == 0
    assert masters == [
        "master: 10.0.0.2:6380\n",
        "master: core-03.redis-1.docker\n",
        "master: core-01.redis-1.docker\n",
        "master: 10.0.0.2:6380\n",
    ]
    after = defined(keys)
    assert sorted([after["master"], *after["slaves"]], key=str) == sorted([A, B, C], key=str)


def test_writes_the_trigger_after_each_change(shell: list[str], environment: Mapping[str, str], keys: Keys) -> None:
    define(keys, A, B)
    with messing(shell, environment, interval="600") as process:
        assert process.stdout
        assert process.stdout.readline() == "master: 10.0.0.2:6380\n"
        assert keys.get(TRIGGER)
        process.terminate()
        assert process.wait(10) == 0  # at once: it doesn't sleep its ten minutes out


def test_leaves_no_process_behind_when_terminated(shell: list[str], environment: Mapping[str, str], keys: Keys) -> None:
    define(keys, A, B)
    with messing(shell, environment, interval="600") as process:
        assert process.stdout
        process.stdout.readline()
        process.terminate()
        process.wait(10)

        def group_is_gone() -> bool:
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return True
            return False

        wait_until(group_is_gone, "the script's process group has ended", timeout=5)


@pytest.mark.parametrize("ending", ["enter", "interrupt"])
def test_stops_on_a_terminal(shell: list[str], environment: Mapping[str, str], keys: Keys, ending: str) -> None:
    define(keys, A, B)
    ours, theirs = pty.openpty()
    try:
        with messing(shell, environment, stdin=theirs, interval="600") as process:
            assert process.stdout
            assert process.stdout.readline() == "press ENTER to stop\n"
            assert process.stdout.readline() == "master: 10.0.0.2:6380\n"
            if ending == "enter":
                os.write(ours, b"\n")
                assert process.wait(10) == 0
            else:
                os.killpg(process.pid, signal.SIGINT)
                assert process.wait(10) == 130
    finally:
        os.close(ours)
        os.close(theirs)


def test_says_so_when_no_topology_is_defined(run: Run) -> None:
    result = run("mess-with-cluster.sh")
    assert result.returncode == 1
    assert TOPOLOGY in result.stderr


def test_says_so_when_the_topology_is_not_json(run: Run, keys: Keys) -> None:
    keys.put(TOPOLOGY, "{")
    result = run("mess-with-cluster.sh")
    assert result.returncode == 1
    assert f"{TOPOLOGY} holds no JSON" in result.stderr
    assert keys.get(TRIGGER) is None


def test_says_so_when_there_is_no_slave_to_choose(run: Run, keys: Keys) -> None:
    define(keys, A)
    result = run("mess-with-cluster.sh")
    assert result.returncode == 1
    assert "no slaves" in result.stderr
    assert defined(keys)["master"] == A


@pytest.mark.parametrize("interval", ["soon", "1.2.3", "-1", "."])
def test_a_bad_interval_stops_it_before_any_change(run: Run, keys: Keys, interval: str) -> None:
    define(keys, A, B)
    result = run("mess-with-cluster.sh", env={"MESS_INTERVAL": interval})
    assert result.returncode == 1
    assert f"MESS_INTERVAL={interval}" in result.stderr
    assert defined(keys)["master"] == A
