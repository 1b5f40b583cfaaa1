"""Child processes that can't outlive their parent, and waiting for named conditions.

A child is killed when the process that started it ends, even by SIGKILL. It runs in a session of
its own, so that a terminal's Ctrl-C reaches only the parent, and it logs to a file.
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
"""An environment variable that every descendant inherits; its value identifies what a test run has left running."""

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", MARK)

# The kernel sends the parent-death signal when the *thread* that forked ends, so every child is
# forked by one thread that lives as long as this process.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")

# Below the kernel's ephemeral range: a port from there could be taken by an outgoing connection
# before its server listens.
_PORTS = range(10240, 32768)
_random = Random()  # noqa: S311 - keeps the ports of parallel test runs apart; not for security
_handed_out: set[int] = set()


class ProcessError(Exception):
    """A child did not start, ended by itself, or did not stop. The message includes the end of its log."""


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 10, interval: float = 0.01) -> None:
    """Poll `condition` every `interval` seconds; TimeoutError naming `what` after `timeout`."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            raise TimeoutError(f"gave up after waiting {timeout:g} s until {what}")
        time.sleep(interval)


def free_port() -> int:
    """A TCP and UDP port that is free and that this process hasn't returned before."""
    if len(_handed_out) > len(_PORTS) // 2:
        _handed_out.clear()  # the first of so many are in use or no longer needed
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
    """A command that can be started, stopped, killed and paused repeatedly.

    `env` is added to a few inherited variables (PATH, HOME and the like): what the caller's shell
    exports must not configure a service. The working directory is the repository's root. stop()
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
        """Whether the process exists, paused or not."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the latest start, also after its end."""
        if self._child is None:
            raise ProcessError(f"never started: {self}")
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs, -N if signal N ended it, else the exit status."""
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
        """Send SIGTERM and wait for the end. Does nothing if it doesn't run.

        If it takes longer than `timeout` seconds, it is killed, and ProcessError is raised.
        """
        if self._child is None or not self.running:
            return
        self.resume()
        deadline = time.monotonic() + timeout
        while not self._ends(deadline):
            if time.monotonic() >= deadline:
                self.kill()
                raise ProcessError(self.failure(f"ignored SIGTERM for {timeout:g} s, killed"))

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
        """Send SIGKILL to it and its children, as a container engine does."""
        if self._child is not None and self.running:
            with suppress(ProcessLookupError):  # it has ended, and another thread has waited for it
                os.killpg(self.pid, signal.SIGKILL)
            self._child.wait()

    def pause(self) -> None:
        """Send SIGSTOP to it and its children."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT to it and its children."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if not self.running:
            raise ProcessError(f"not running: {self}")
        # The leader of the session also leads the process group, so its pid is the group's id.
        os.killpg(self.pid, number)

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = 10) -> None:
        """Wait for `condition`. Raises ProcessError at the deadline, or if the child ends first."""

        def settled() -> bool:
            if condition():
                return True
            if not self.running:
                problem = f"ended with status {self.returncode}, waiting until {what}"
                raise ProcessError(self.failure(problem))
            return False

        try:
            wait_until(settled, what, timeout)
        except TimeoutError as error:
            raise ProcessError(self.failure(str(error))) from None

    def failure(self, problem: str, lines: int = 20) -> str:
        """The text of an error: `problem`, the command, and the last `lines` of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        tail = "\n".join(text.splitlines()[-lines:]) or "(empty)"
        return f"{problem}\ncommand: {' '.join(self.argv)}\nend of {self.log}:\n{tail}"
