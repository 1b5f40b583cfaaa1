"""A process with everything imported that forks jobs: a dictator or a writer that may be killed costs milliseconds.

A job is the code of the services, run in a process of its own, with signals as real as any. One Unix connection a job:
a line of JSON goes in, the job's pid comes out, then its result, unless it dies. Run with the socket's path.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from redis.connection import Connection
from redis.exceptions import RedisError

from dictator.apply import Dictator
from dictator.settings import Settings
from redis_counter.master import connect, pause_after
from redis_counter.senders import PlainSender
from redis_counter.writer import Writer
from safe_redis.errors import TopologyError
from safe_redis.logs import LogSettings, configure
from safe_redis.srv import Endpoint
from safe_redis.topology import parse
from sandbox.process import Process, wait_until

PR_SET_PDEATHSIG = 1
Result = dict[str, Any]


class Killed(Exception):
    """A job ended without a result."""


# What runs in the children


class Known:
    """Stands in for the counter's look-up: goes round the known addresses, one further at each new connection."""

    def __init__(self, addresses: list[tuple[str, int]]) -> None:
        self._addresses = addresses
        self._at = -1

    def connection(self, stopped: Callable[[], bool] = lambda: False) -> Connection:
        """See master.Master."""
        errors = 0
        while True:
            self._at = (self._at + 1) % len(self._addresses)
            try:
                return connect(Endpoint(*self._addresses[self._at]))
            except RedisError:
                errors += 1
                if stopped():
                    raise SystemExit(0) from None
                time.sleep(pause_after(errors))


def apply(job: Mapping[str, Any], _: threading.Event) -> Result:
    """Applies a document, and answers as the web app would."""
    started = time.monotonic()
    try:
        receipt = Dictator(Settings(**job["settings"])).apply(parse(job["document"].encode()), force=job["force"])
    except TopologyError as error:
        return {
            "status": error.status,
            "line": f"{type(error).__name__}: {error}",
            "seconds": time.monotonic() - started,
        }
    return {
        "status": 202 if receipt.open else 200,
        "line": receipt.open,
        "receipt": json.loads(receipt.json()),
        "seconds": time.monotonic() - started,
    }


def write(job: Mapping[str, Any], stop: threading.Event) -> Result:
    """Writes as the counter does until it is told to stop."""
    known = Known([(host, port) for host, port in job["addresses"]])
    # the stand-in has all that a writer uses of a master
    sender = PlainSender(known, job["key"], stop.is_set)  # type: ignore[arg-type]
    report = Writer(sender, job["interval"], stop.is_set, lambda: None).run(10**9)
    outcomes = report.outcomes
    return {
        "acked": outcomes.acked,
        "refused": outcomes.refused,
        "unknown": outcomes.unknown,
        "longest_pause": report.longest_pause,
    }


def serve(connection: socket.socket) -> None:
    """One job, from its request to its result."""
    stop = threading.Event()
    with connection.makefile("rwb") as stream:

        def listen() -> None:
            with suppress(OSError, ValueError):  # the job is over, and its connection closed
                stream.readline()
            stop.set()

        job = json.loads(stream.readline())
        stream.write(b"%d\n" % os.getpid())
        stream.flush()
        threading.Thread(target=listen, daemon=True).start()
        try:
            result = {"apply": apply, "write": write}[job["job"]](job, stop)
        except Exception:  # noqa: BLE001 - the test shows it
            result = {"status": 500, "line": traceback.format_exc()}
        connection.sendall(json.dumps(result).encode() + b"\n")


def main(path: str) -> None:
    """Forks a job for every connection; ends by a signal."""
    configure(LogSettings())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(64)
        while True:
            connection, _ = server.accept()
            parent = os.getpid()
            if os.fork() == 0:
                server.close()
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() == parent:
                    serve(connection)
                os._exit(0)
            connection.close()


# What the tests use


class Job:
    """A job under way."""

    def __init__(self, path: Path, request: Mapping[str, Any]) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        self._stream = self._socket.makefile("rb")
        self._socket.settimeout(30)
        self.pid = int(self._stream.readline())

    @property
    def closed(self) -> bool:
        """Whether its result was read."""
        return self._stream.closed

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; to be called only while the job can't have ended."""
        os.kill(self.pid, number)

    def result(self, timeout: float = 60) -> Result:
        """What it made. Killed if it died before; TimeoutError after so many seconds."""
        self._socket.settimeout(timeout)
        line = self._stream.readline()
        self.close()
        if not line:
            raise Killed(f"job {self.pid}")
        made: Result = json.loads(line)
        return made

    def stop(self) -> None:
        """Tells a writer to come to its end; its result is still to be read."""
        self._socket.sendall(b"stop\n")

    def close(self) -> None:
        """Closes the connection to it."""
        self._stream.close()
        self._socket.close()


class Zygote:
    """The process that forks; a context manager."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "zygote.socket"
        argv = [sys.executable, "-m", "tests.dictator.zygote", str(self._path)]
        self._jobs: list[Job] = []
        self.process = Process(argv, log=directory / "zygote.log")

    def job(self, **request: Any) -> Job:
        """Starts a job."""
        self._jobs = [*(job for job in self._jobs if not job.closed), Job(self._path, request)]
        return self._jobs[-1]

    def __enter__(self) -> Self:
        self.process.start()
        wait_until(self._path.is_socket, "the zygote listens", timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        for job in self._jobs:
            job.close()
        self.process.stop()


if __name__ == "__main__":
    main(sys.argv[1])
