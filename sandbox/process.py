"""Child processes that can't outlive their parent, and waiting for named conditions.

A child dies with the process that started it, even if that one gets SIGKILL; it runs in a
session of its own, so that a terminal's Ctrl-C reaches only the parent, and logs into a file.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
MARK = "SANDBOX_RUN"
"""Inherited by every descendant; tests find leftovers of a run by its value."""

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", MARK)

# The kernel sends the parent-death signal when the *thread* that forked ends, so every child is
# forked by one thread that lives as long as this process.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")

# Below the kernel's ephemeral range: a port from there could be taken by an outgoing connection
# before its server listens.
_PORTS = range(10240, 32768)
_random = Random()  # noqa: S311 - spreads the ports of test runs, guards nothing
_handed_out: set[int] = set()


class ProcessError(Exception):
    """A child did not start, ended by itself, or did not stop. The message holds its log's tail."""


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 10, interval: float = 0.01) -> None:
    """Poll `condition` every `interval` seconds; TimeoutError naming `what` after `timeout`."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain until {what}")
        time.sleep(interval)


def free_port() -> int:
    """A TCP and UDP port that nobody uses and that this process hasn't handed out before."""
    if len(_handed_out) > len(_PORTS) // 2:
        _handed_out.clear()  # the oldest of so many have long been taken or given up
    for port in _random.sample(_PORTS, k=1000):
        if port not in _handed_out and _is_free(port):
            _handed_out.add(port)
            return port
    raise OSError("no free port found among 1000")


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                return False
    return True


class Process:
    """A command that can be started, stopped, killed and paused over and over.

    `env` is added to a clean base (PATH, HOME and the like): what the caller's shell happens to
    export must not configure a service. The working directory is the repository's root. stop()
    sends SIGTERM again every `ask_every` seconds: some servers refuse it at times and forget it.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        ask_every: float | None = None,
    ) -> None:
        self.argv = list(argv)
        self.log = log
        self.env = dict(env or {})
        self._ask_every = ask_every
        self._child: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {' '.join(self.argv)}>"

    @property
    def running(self) -> bool:
        """Whether it lives, be it paused."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """Of the latest start, also after its end."""
        if self._child is None:
            raise ProcessError(f"never started: {self}")
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """As subprocess has it: None while running, -N if signal N ended it."""
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        """Start it, appending to its log; returns at once."""
        if self.running:
            raise ProcessError(f"already running: {self}")
        self._child = _spawner.submit(self._spawn).result()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        self.log.parent.mkdir(parents=True, exist_ok=True)
        base = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.argv],
                env=base | self.env,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self, timeout: float = 10) -> None:
        """SIGTERM and wait; nothing happens if it doesn't run.

        One that ignores it for `timeout` seconds is killed, and that's a ProcessError.
        """
        if self._child is None or not self.running:
            return
        self.resume()
        deadline = time.monotonic() + timeout
        while not self._ends(deadline):
            if time.monotonic() >= deadline:
                self.kill()
                raise ProcessError(self.told(f"ignored SIGTERM for {timeout:g} s, killed"))

    def _ends(self, deadline: float) -> bool:
        if self._child is None:
            return True
        self._child.terminate()
        left = max(0.0, deadline - time.monotonic())
        try:
            self._child.wait(left if self._ask_every is None else min(left, self._ask_every))
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to it and its own children, as a container engine would."""
        if self._child is not None and self.running:
            with suppress(ProcessLookupError):  # it has just ended, and another thread noticed
                os.killpg(self.pid, signal.SIGKILL)
            self._child.wait()

    def pause(self) -> None:
        """SIGSTOP to it and its own children."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT to it and its own children."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if not self.running:
            raise ProcessError(f"not running: {self}")
        # Its session's leader is also its group's, so the pid names the group.
        os.killpg(self.pid, number)

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = 10) -> None:
        """Wait for `condition`; a child that ends meanwhile, or the deadline, is a ProcessError."""

        def settled() -> bool:
            if condition():
                return True
            if not self.running:
                problem = f"ended with status {self.returncode}, waiting until {what}"
                raise ProcessError(self.told(problem))
            return False

        try:
            wait_until(settled, what, timeout)
        except TimeoutError as error:
            raise ProcessError(self.told(str(error))) from None

    def told(self, problem: str, lines: int = 20) -> str:
        """`problem`, with the command and the last `lines` of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        tail = "\n".join(text.splitlines()[-lines:]) or "(empty)"
        return f"{problem}\ncommand: {' '.join(self.argv)}\nend of {self.log}:\n{tail}"
