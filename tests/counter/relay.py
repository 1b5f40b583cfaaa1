"""Proxies in front of a real redis that do to a client what a server may do during a switch, at a chosen moment."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sandbox.proxy import Conversation, Proxy, Start
from sandbox.redis import RedisServer


@contextmanager
def in_front_of(server: RedisServer, conversation: Start) -> Iterator[Proxy]:
    """A proxy to the server while the test runs."""
    proxy = Proxy(server.port, server.host, conversation)
    try:
        yield proxy
    finally:
        proxy.cut()


class Liar:
    """Falsifies the reply to one write: redis executes write number `at`, but the client isn't told so."""

    def __init__(self, at: int, how: Literal["refuse", "hang up"]) -> None:
        self._at = at
        self._how = how
        self._writes = 0
        self._due = False

    def saw(self, request: bytes) -> None:
        """Count the writes; one writer waits for each reply before it sends the next request."""
        if b"RPUSH" in request:
            self._writes += 1
            self._due = self._writes == self._at

    def falsify(self, reply: bytes) -> bytes:
        """Return the reply that the client gets."""
        if not self._due:
            return reply
        self._due = False
        return b"" if self._how == "hang up" else b"-READONLY You can't write against a read only replica.\r\n"

    def conversation(self, client: socket.socket, server: socket.socket) -> Conversation:
        """Apply it to a connection."""
        return _Lying(self, client, server)


class _Lying(Conversation):
    def __init__(self, liar: Liar, client: socket.socket, server: socket.socket) -> None:
        super().__init__(client, server)
        self._liar = liar

    def request(self, chunk: bytes) -> bytes:
        self._liar.saw(chunk)
        return chunk

    def reply(self, chunk: bytes) -> bytes:
        return self._liar.falsify(chunk)


class Fickle:
    """The server is a master when a client connects, and a slave once it has answered the first request."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def conversation(self, client: socket.socket, server: socket.socket) -> Conversation:
        """Make the server a master."""
        self._server.client().replicaof("NO", "ONE")
        return _Demoting(self._server, client, server)


class _Demoting(Conversation):
    def __init__(self, redis: RedisServer, client: socket.socket, server: socket.socket) -> None:
        super().__init__(client, server)
        self._redis = redis

    def reply(self, chunk: bytes) -> bytes:
        self._redis.client().replicaof("127.0.0.1", "0")
        return chunk
