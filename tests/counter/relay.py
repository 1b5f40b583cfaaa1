"""Relays in front of a real redis that do to a client what a server under a switch may do, at a chosen moment."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from sandbox.redis import RedisServer


class Relay:
    """Hands each request on, and its answer back. One client at a time."""

    def __init__(self, behind: RedisServer) -> None:
        self.behind = behind
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Take clients, one after the other, until closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, socket.create_connection((self.behind.host, self.behind.port)) as server:
                    self.opened()
                    while request := client.recv(65536):
                        server.sendall(request)
                        answer = self.answer(request, server.recv(65536))
                        if not answer:
                            break
                        client.sendall(answer)

    def opened(self) -> None:
        """A client has come."""

    def answer(self, request: bytes, answer: bytes) -> bytes:
        """What the client gets to hear; nothing hangs up on it."""
        raise NotImplementedError

    def close(self) -> None:
        """Take no more clients."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Liar(Relay):
    """Betrays the write with the number `at`: redis gets it, but its client isn't told so."""

    def __init__(self, behind: RedisServer, at: int, betrayal: Literal["refuse", "hang up"]) -> None:
        super().__init__(behind)
        self._at = at
        self._betrayal = betrayal
        self._writes = 0

    def answer(self, request: bytes, answer: bytes) -> bytes:
        """As it came, but for the one write."""
        self._writes += b"RPUSH" in request
        if b"RPUSH" not in request or self._writes != self._at:
            return answer
        return b"" if self._betrayal == "hang up" else b"-READONLY You can't write against a read only replica.\r\n"


class Fickle(Relay):
    """Is master when a client comes, and a slave once it has answered its first request."""

    def opened(self) -> None:
        """Become master."""
        self.behind.client().replicaof("NO", "ONE")

    def answer(self, request: bytes, answer: bytes) -> bytes:
        """As it came; then become a slave."""
        self.behind.client().replicaof("127.0.0.1", "0")
        return answer


@contextmanager
def serving(relay: Relay) -> Iterator[Relay]:
    """The relay serves while the test runs."""
    thread = threading.Thread(target=relay.serve)
    thread.start()
    try:
        yield relay
    finally:
        relay.close()
        thread.join(5)
