"""`python -m sandbox`: `up`, the commands from a second terminal, and how it ends."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox import leftovers
from sandbox.__main__ import main
from sandbox.process import MARK, ROOT, Process, wait_until

Up = Callable[..., Process]


@pytest.fixture
def run() -> str:
    """The mark of this sandbox's processes."""
    return uuid.uuid4().hex


@pytest.fixture
def up(tmp_path: Path, run: str) -> Iterator[Up]:
    """Runs `python -m sandbox up` with these arguments, in a HOME and TMPDIR of its own."""
    (tmp_path / "outside").mkdir()
    outside = str(tmp_path / "outside")
    with ExitStack() as stack:

        def start(*arguments: str, **env: str) -> Process:
            process = Process(
                [sys.executable, "-m", "sandbox", "up", *arguments],
                log=tmp_path / "output",
                env={MARK: run, "HOME": outside, "TMPDIR": outside, **env},
            )
            stack.callback(process.kill)
            process.start()
            return process

        yield start


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The sandbox's directory, whose path is too long for a socket."""
    return tmp_path / ("long" * 25) / "sandbox"


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_and_leaves_only_data_and_logs(
    up: Up, directory: Path, run: str, tmp_path: Path, ending: signal.Signals
) -> None:
    process = up("--nodes", "2", "--directory", str(directory))
    _wait_up(process, directory)
    assert len(leftovers.find(run)) > 7

    os.kill(process.pid, ending)
    wait_until(lambda: not process.running, "the sandbox has ended", timeout=30)

    assert process.returncode == 0
    assert not leftovers.find(run)
    assert not list((tmp_path / "outside").iterdir())
    parts = {"core-01", "core-02", "dictator", "dnsd", "etcd", "observer", "skydns", "log"}
    assert {path.name for path in directory.iterdir()} == parts


def test_ctrl_c_while_it_starts_leaves_nothing_running(up: Up, directory: Path, run: str) -> None:
    process = up("--directory", str(directory))
    process.wait_until((directory / "core-03").exists, "the nodes are starting")
    os.kill(process.pid, signal.SIGINT)
    wait_until(lambda: not process.running, "the sandbox has ended", timeout=30)
    assert process.log.read_text() == "sandbox: stopped\n"
    assert not leftovers.find(run)


def test_a_second_ctrl_c_does_not_disturb_the_clean_up(up: Up, directory: Path, run: str) -> None:
    process = up("--nodes", "1", "--directory", str(directory))
    _wait_up(process, directory)
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGINT)
    wait_until(lambda: not process.running, "the sandbox has ended", timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in process.log.read_text()
    assert not leftovers.find(run)


def test_sigkill_leaves_no_process_and_the_directory_can_be_used_again(up: Up, directory: Path, run: str) -> None:
    process = up("--nodes", "1", "--directory", str(directory))
    _wait_up(process, directory)
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not leftovers.find(run), "all have died with the sandbox")

    process = up("--nodes", "1", "--directory", str(directory))
    process.wait_until(lambda: process.log.read_text().count("Ctrl-C") == 2, "up again", timeout=60)
    process.stop()


def test_the_default_directory_is_deleted(up: Up, run: str) -> None:
    process = up("--nodes", "1")
    _wait_up(process, ROOT / ".sandbox")
    process.stop()
    assert not (ROOT / ".sandbox").exists()
    assert not leftovers.find(run)


def test_runs_on_the_v3_api_with_coredns(up: Up, directory: Path) -> None:
    process = up("--etcd", "v3", "--dns", "coredns", "--nodes", "1", "--directory", str(directory))
    _wait_up(process, directory)
    assert "export ETCD_API=v3" in (directory / "env").read_text()
    command = '. "$1"; dig +short @$DNS_SERVER -p $DNS_PORT SRV "$2"'
    shell = ["sh", "-euc", command, "sh", str(directory / "env"), "core-01.redis-1.docker"]
    assert "core-01.redis-1.docker." in subprocess.run(shell, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("etcd", "dns"), [("v2", "coredns"), ("v3", "skydns")])
def test_a_name_server_that_cannot_read_the_api_is_refused(
    etcd: str, dns: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["up", "--etcd", etcd, "--dns", dns])
    assert f"--etcd {etcd} goes with --dns" in capsys.readouterr().err


def test_the_env_file_points_a_shell_at_the_cluster(up: Up, directory: Path) -> None:
    process = up("--nodes", "1", "--directory", str(directory))
    _wait_up(process, directory)
    command = '. "$1"; curl -fsS "$ETCD_URL/health"; dig +short @$DNS_SERVER -p $DNS_PORT SRV "$2"'
    shell = ["sh", "-euc", command, "sh", str(directory / "env"), "core-01.redis-1.docker"]
    answer = subprocess.run(shell, capture_output=True, text=True, check=True).stdout
    assert '"health":"true"' in answer
    assert "core-01.redis-1.docker." in answer
    exports = (directory / "env").read_text().splitlines()
    assert all(f"  {line}\n" in process.log.read_text() for line in exports)
    process.stop()


def test_parts_are_killed_stopped_and_started_from_a_second_terminal(up: Up, directory: Path) -> None:
    process = up("--nodes", "2", "--directory", str(directory))
    _wait_up(process, directory)
    before = _status(directory)
    assert set(before) == {
        *("etcd", "skydns", "core-01", "core-02", "dictator", "dnsd", "observer"),
    }
    for verb, part in (("kill", "core-02"), ("stop", "observer"), ("kill", "dnsd")):
        assert _command(directory, verb, part).returncode == 0
        assert _status(directory)[part].endswith("stopped")
        assert _command(directory, "start", part).returncode == 0
        assert _status(directory)[part] != before[part]

    unknown = _command(directory, "kill", "core-09")
    assert (unknown.returncode, "core-01, core-02" in unknown.stderr) == (1, True)
    twice = _command(directory, "start", "dictator")
    assert (twice.returncode, "running already" in twice.stderr) == (1, True)
    process.stop()
    gone = _command(directory, "status")
    assert (gone.returncode, "no sandbox runs in" in gone.stderr) == (1, True)


def test_a_second_sandbox_in_the_same_directory_is_refused(up: Up, directory: Path) -> None:
    process = up("--nodes", "1", "--directory", str(directory))
    _wait_up(process, directory)
    second = _command(directory, "up")
    assert second.returncode == 1
    assert f"a sandbox runs in {directory} already" in second.stderr
    assert (directory / "env").exists()
    assert "core-01" in _status(directory)
    process.stop()


def test_the_error_for_a_missing_program_says_what_to_install(up: Up, directory: Path, tmp_path: Path) -> None:
    process = up("--directory", str(directory), PATH=_only("setpriv", tmp_path))
    wait_until(lambda: not process.running, "the sandbox has given up")
    assert process.returncode == 1
    assert "apt-get install etcd-server" in process.log.read_text()


def _wait_up(process: Process, directory: Path) -> None:
    process.wait_until((directory / "env").exists, "the sandbox is up", timeout=60)


def _command(directory: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "sandbox", *words, "--directory", str(directory)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def _status(directory: Path) -> dict[str, str]:
    lines = _command(directory, "status").stdout.splitlines()
    return {line.split()[0]: line for line in lines}


def _only(program: str, tmp_path: Path) -> str:
    """A PATH with this program and no other."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / program).symlink_to(f"/usr/bin/{program}")
    return str(folder)
