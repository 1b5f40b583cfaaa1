"""Peers that are no redis, or a hostile one: small servers on a port of the loopback interface, bounded in memory."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from sandbox.proxy import reset

# what an attacker sends at most, in bytes, and at most this often when it drips
FLOOD = 64 << 20
DRIP = 0.02


class Peer:
    """Lets `behave` serve each connection. Counts what it could send and remembers what it got."""

    def __init__(self, behave: "Behaviour", host: str = "127.0.0.1") -> None:
        self.host = host
        self.sent = 0
        self.received = b""
        self.ended = threading.Event()
        self._behave = behave
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def read(self, connection: socket.socket) -> bytes:
        """What the dictator sends next; empty once it has closed the connection."""
        data = connection.recv(1 << 16)
        self.received += data
        return data

    def send(self, connection: socket.socket, data: bytes) -> None:
        """Sends it all, and counts it."""
        connection.sendall(data)
        self.sent += len(data)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(60)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._behave(self, connection)


Behaviour = Callable[[Peer, socket.socket], None]


def says(data: bytes) -> Behaviour:
    """Sends this after each group that it gets, whatever was asked."""

    def behave(peer: Peer, connection: socket.socket) -> None:
        while peer.read(connection):
            peer.send(connection, data)

    return behave


def greets(data: bytes) -> Behaviour:
    """Sends this as soon as somebody connects, and then waits."""

    def behave(peer: Peer, connection: socket.socket) -> None:
        peer.send(connection, data)
        while peer.read(connection):
            pass

    return behave


def floods(start: bytes, more: bytes) -> Behaviour:
    """Sends `start`, and then `more` again and again."""

    def behave(peer: Peer, connection: socket.socket) -> None:
        peer.read(connection)
        peer.send(connection, start)
        chunk = more * ((1 << 16) // len(more))
        while peer.sent < FLOOD:
            peer.send(connection, chunk)

    return behave


def drips(start: bytes, more: bytes) -> Behaviour:
    """The same, byte by byte, until the dictator hangs up."""

    def behave(peer: Peer, connection: socket.socket) -> None:
        peer.read(connection)
        peer.send(connection, start)
        while not peer.ended.wait(DRIP):
            peer.send(connection, more[(peer.sent - len(start)) % len(more) :][:1])

    return behave


def is_silent(peer: Peer, connection: socket.socket) -> None:
    """Takes what comes, and never answers."""
    while peer.read(connection):
        pass


def hangs_up(peer: Peer, connection: socket.socket) -> None:
    """Resets the connection at once."""
    reset(connection)


def bulk(text: str) -> bytes:
    """A string as redis sends it."""
    data = text.encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


def info(**changed: str | None) -> str:
    """All sections of INFO of a redis 7.0 without slaves; None leaves a field out."""
    fields: dict[str, str | None] = {
        "redis_version": "7.0.15",
        "run_id": "a" * 40,
        "role": "master",
        "master_replid": "b" * 40,
        "master_replid2": "0" * 40,
        "master_repl_offset": "0",
        "second_repl_offset": "-1",
        "repl_backlog_active": "0",
        "repl_backlog_first_byte_offset": "0",
        "connected_slaves": "0",
        "loading": "0",
        "cluster_enabled": "0",
        "used_memory": "1000000",
        "maxmemory": "0",
        "maxmemory_policy": "noeviction",
    }
    return "".join(f"{name}:{value}\r\n" for name, value in (fields | changed).items() if value is not None)


def acts_as_redis(replies: dict[str, bytes], text: str) -> Behaviour:
    """Answers each command by its first word: with `replies`, and INFO with `text`; anything else with OK."""

    def behave(peer: Peer, connection: socket.socket) -> None:
        while group := peer.read(connection):
            for command in group.split(b"*")[1:]:
                word = command.split(b"\r\n")[2].decode()
                peer.send(connection, replies.get(word, bulk(text) if word == "INFO" else b"+OK\r\n"))

    return behave


LIKE_REDIS = {
    "CONFIG": b"*2\r\n" + bulk("name") + bulk("0"),
    "PUBSUB": b"*2\r\n" + bulk("channel") + b":0\r\n",
    "GET": b"$-1\r\n",
}
