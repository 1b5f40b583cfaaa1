"""TCP proxies in front of the instances: they count, hold and drop what the dictator sends, and cut replication links.

Addresses in the topology are those of the proxies, so that what redis reports of its slaves is wrong everywhere, as it
is behind published ports. What slaves send to their master passes uncounted.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from sandbox.process import free_port

READS = {"INFO", "CONFIG GET", "PUBSUB NUMSUB"}
CHUNK = 1 << 16


class Watch(Protocol):
    """Is asked about all that passes between the dictator and an instance; False: drop it, and the connection."""

    def request(self, name: str, commands: tuple[str, ...]) -> bool:
        """A group of commands is on its way to the instance."""

    def reply(self, name: str) -> bool:
        """The instance has answered."""


def commands(chunk: bytes) -> tuple[str, ...]:
    """The commands of a pipelined group, without their arguments but for subcommands: `CONFIG GET`."""
    found = []
    parts = chunk.split(b"\r\n")
    at = 0
    while at < len(parts) and parts[at].startswith(b"*"):
        count = int(parts[at][1:])
        words = [parts[at + 2 + 2 * each].decode() for each in range(count)]
        several = words[0] in ("CONFIG", "CLIENT", "PUBSUB", "REPLICAOF")
        found.append(" ".join(words[: 2 if several else 1]))
        at += 1 + 2 * count
    return tuple(found)


@dataclass
class Gate:
    """Counts groups of commands, and calls `act` once: before group `at` is passed on, or `after` it was answered.

    `act` says whether the chunk is passed on. A group that only reads is counted once between two that change
    something: how often a condition is polled is left to chance. With `only_changes`, it is not counted at all.
    """

    at: int = 0
    after: bool = False
    act: Callable[[], bool] = lambda: True
    only_changes: bool = False
    groups: list[str] = field(default_factory=list)
    hit: str = ""
    acted: threading.Event = field(default_factory=threading.Event)
    _seen: set[str] = field(default_factory=set)
    _armed: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(self, name: str, commands: tuple[str, ...]) -> bool:
        """See Watch."""
        label = f"{name} {' + '.join(commands)}"
        with self._lock:
            if set(commands) <= READS:
                if self.only_changes or label in self._seen:
                    return True
                self._seen.add(label)
            else:
                self._seen.clear()
            self.groups.append(label)
            if len(self.groups) != self.at:
                return True
            self.hit = label
            if self.after:
                self._armed = name
                return True
        return self._once()

    def reply(self, name: str) -> bool:
        """See Watch."""
        with self._lock:
            if self._armed != name:
                return True
            self._armed = ""
        return self._once()

    def _once(self) -> bool:
        passes = self.act()
        self.acted.set()
        return passes


class Proxy:
    """Listens on a port of its own and passes everything on to one instance at `host` and `port`, which may move."""

    def __init__(self, name: str, host: str, port: int) -> None:
        self.name = name
        self.host = "127.0.0.1"
        self.port = free_port()
        self.target = (host, port)
        self.watch: Watch | None = None
        self._links_up = threading.Event()
        self._links_up.set()
        self._refuses_links = False
        self._links: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server = socket.create_server((self.host, self.port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Takes no more connections; those that are open end with their peers."""
        self._server.close()
        self.mend()

    def cut(self) -> None:
        """Breaks the replication links to this instance, and refuses new ones."""
        with self._lock:
            self._refuses_links = True
            for link in self._links:
                _abort(link)

    def hush(self) -> None:
        """Lets replication links to this instance stand, but carries nothing any more."""
        self._links_up.clear()

    def mend(self) -> None:
        """Undoes cut() and hush()."""
        with self._lock:
            self._refuses_links = False
        self._links_up.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                first = client.recv(CHUNK)
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                _abort(client)
                return
            with server:
                self._join(client, server, first)

    def _join(self, client: socket.socket, server: socket.socket, first: bytes) -> None:
        server.settimeout(None)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = bool(first) and commands(first) == ("PING",)
        with self._lock:
            if link and self._refuses_links:
                first = b""
            if link:
                self._links |= {client, server}
        replies = threading.Thread(target=self._replies, args=(server, client, link), daemon=True)
        replies.start()
        self._requests(client, server, link, first)
        replies.join()
        with self._lock:
            self._links -= {client, server}

    def _requests(self, client: socket.socket, server: socket.socket, link: bool, first: bytes) -> None:  # noqa: FBT001
        with suppress(OSError):
            chunk = first
            while chunk and (self._carries() if link else self._asked(commands(chunk))):
                server.sendall(chunk)
                chunk = client.recv(CHUNK)
        _shut(client)
        _shut(server)

    def _replies(self, server: socket.socket, client: socket.socket, link: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while (chunk := server.recv(CHUNK)) and (self._carries() if link else self._answered()):
                client.sendall(chunk)
        _shut(server)
        _shut(client)

    def _carries(self) -> bool:
        return self._links_up.wait()

    def _asked(self, group: tuple[str, ...]) -> bool:
        return self.watch is None or self.watch.request(self.name, group)

    def _answered(self) -> bool:
        return self.watch is None or self.watch.reply(self.name)


def _shut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


def _abort(each: socket.socket) -> None:
    with suppress(OSError):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _shut(each)
