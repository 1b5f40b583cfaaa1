"""Commands to a running sandbox, from another terminal, through a socket in its directory.

A request is one line, `VERB [PART [FLAVOUR]]`; the reply's first line is `ok` or `error`, the rest is text.
"""

import os
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.binaries import MissingBinaryError
from sandbox.cluster import Cluster
from sandbox.keys import KeysError
from sandbox.node import Node
from sandbox.process import ProcessError

VERBS = ("start", "stop", "restart", "kill", "pause", "resume", "status")
SOCKET = "control"


class ControlError(Exception):
    """No sandbox is running, or a command failed."""


def send(directory: Path, verb: str, part: str = "") -> str:
    """Send a command to the running sandbox, wait until it is done, and return the text of the reply."""
    with socket.socket(socket.AF_UNIX) as connection, _reachable(directory) as path:
        try:
            connection.connect(path)
        except OSError as error:
            raise ControlError(f"no sandbox runs in {directory}: {error.strerror}") from None
        connection.sendall(f"{verb} {part}\n".encode())
        status, _, text = connection.makefile().read().partition("\n")
    if status != "ok":
        raise ControlError(text or "the sandbox ended before it replied")
    return text


@contextmanager
def listening(cluster: Cluster) -> Iterator[None]:
    """Execute commands for `cluster`, one at a time. On exit, the current one is finished first."""
    with _reachable(cluster.directory) as path:
        server = _Server(path, _Handler)
    server.cluster = cluster
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _reachable(directory: Path) -> Iterator[str]:
    """A short path to the socket: the kernel accepts at most 107 bytes."""
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ControlError(f"no sandbox runs in {directory}: {error.strerror}") from None
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)


class _Server(socketserver.UnixStreamServer):
    cluster: Cluster


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        verb, _, part = self.rfile.readline().decode().strip().partition(" ")
        try:
            reply = "ok\n" + _do(self.server.cluster, verb, part)
        except (ControlError, MissingBinaryError, ProcessError, KeysError) as error:
            reply = f"error\n{error}"
        self.wfile.write(reply.encode())


def _do(cluster: Cluster, verb: str, part: str) -> str:
    if verb not in VERBS:
        raise ControlError(f"no such command: {verb} (known: {', '.join(VERBS)})")
    if verb == "status":
        return status(cluster)
    part, _, flavour = part.partition(" ")
    if part not in cluster.parts:
        raise ControlError(f"no such part: {part} (known: {', '.join(cluster.parts)})")
    server = cluster.parts[part]
    if verb != "restart":
        getattr(server, verb)()
        return ""
    server.stop()
    if flavour:
        if not isinstance(server, Node):
            raise ControlError(f"{part} is not a node: only nodes have flavours")
        server.redis.install(flavour)
    server.start()
    return ""


def status(cluster: Cluster) -> str:
    """A line for each part: its name, its port, and its pid or `stopped`."""
    lines = []
    for name, part in cluster.parts.items():
        port = getattr(part, "port", "-")
        lines.append(f"{name:<10} {port:>5} {part.pid if part.running else 'stopped'}")
    return "\n".join(lines)
