"""demo.sh, the whole system in one command: what it prints, and that it cleans up however it ends."""

import os
import pty
import re
import signal
import subprocess
import termios
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox import leftovers
from sandbox.process import MARK, ROOT

COMMAND = ["sh", "scripts/demo.sh"]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where the demo puts its files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def environment(scratch: Path, **settings: object) -> Mapping[str, str]:
    return {**os.environ, "TMPDIR": str(scratch), **{name: str(value) for name, value in settings.items()}}


def demo(scratch: Path, **settings: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        COMMAND,
        cwd=ROOT,
        env=environment(scratch, **settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_ends_with_the_counters_line_and_the_changes_made(scratch: Path) -> None:
    result = demo(scratch, COUNTER_COUNT=1500, COUNTER_WRITERS=2, COUNTER_INTERVAL=2, MESS_INTERVAL=0.2)
    assert result.returncode == 0, result.stderr
    *before, pause, changes, line = result.stdout.splitlines()
    assert any(re.fullmatch(r"demo: the page, while this runs: http://127\.0\.0\.1:\d+/", line) for line in before)
    (table,) = [at for at, line in enumerate(before) if line.split()[:2] == ["INSTANCE", "ADDRESS"]]
    roles = [word for line in before[table + 1 : table + 4] for word in line.split() if word in ("master", "slave")]
    assert sorted(roles) == ["master", "slave", "slave"]
    assert re.fullmatch(r"longest pause between two acks: [\d.]+ ms", pause)
    match = re.fullmatch(r"changes of master applied: (\d+)", changes)
    assert match
    assert int(match[1]) >= 1
    assert re.fullmatch(r"ack'd: \d+ \(0 missing\) err'd: \d+ \(0 phantom\)", line)
    assert list(scratch.iterdir()) == []


def test_a_bad_setting_is_named_and_fails_it(scratch: Path) -> None:
    result = demo(scratch, COUNTER_COUNT="many")
    assert result.returncode == 1
    assert "COUNTER_COUNT" in result.stderr
    assert "many" in result.stderr


def test_a_mess_that_fails_is_no_success(scratch: Path) -> None:
    result = demo(scratch, COUNTER_COUNT=100, MESS_INTERVAL="often")
    assert result.returncode == 1
    assert "MESS_INTERVAL=often" in result.stderr + result.stdout


class Terminal:
    """The demo as the foreground job of a terminal of its own, as a person sees it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.shown = b""
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 100))
        self.demo = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *COMMAND], cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)

    def read_until(self, text: bytes) -> None:
        while text not in self.shown:
            self.shown += os.read(self._ours, 4096)

    def type(self, text: bytes) -> None:
        os.write(self._ours, text)

    def end(self) -> int:
        """Its exit status; what it still writes is read meanwhile."""
        with suppress(OSError):  # the terminal hangs up when nobody has it open any more
            while more := os.read(self._ours, 4096):
                self.shown += more
        os.close(self._ours)
        return self.demo.wait(30)


def test_shows_progress_on_a_terminal_and_asks_nothing(scratch: Path) -> None:
    terminal = Terminal(environment(scratch, COUNTER_COUNT=800))
    assert terminal.end() == 0, terminal.shown
    assert b"100%" in terminal.shown
    assert b"ENTER" not in terminal.shown
    assert terminal.shown.endswith(b" phantom)\r\n")


def test_ctrl_c_stops_everything_and_leaves_no_files(scratch: Path) -> None:
    terminal = Terminal(environment(scratch, COUNTER_COUNT=1_000_000))
    terminal.read_until(b" writes/s")
    terminal.type(b"\x03")
    assert terminal.end() == 130, terminal.shown
    assert list(scratch.iterdir()) == []


def test_being_terminated_stops_everything(scratch: Path) -> None:
    with subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env=environment(scratch, COUNTER_COUNT=1_000_000),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        wait_for = iter(process.stdout.readline, "")
        assert any(line.startswith("master: ") for line in wait_for)
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(30) == 143
    assert not leftovers.find(os.environ[MARK])
    assert list(scratch.iterdir()) == []
