"""A relay in front of a real redis that betrays one write: it answers an error, or hangs up instead of answering."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from sandbox.redis import RedisServer


class Liar:
    """Relays every write; the one with the number `at` reaches redis too, but its client isn't told so."""

    def __init__(self, behind: RedisServer, at: int, betrayal: Literal["refuse", "hang up"]) -> None:
        self._behind = behind
        self._at = at
        self._betrayal = betrayal
        self._writes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Take clients, one after the other, until closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, socket.create_connection((self._behind.host, self._behind.port)) as server:
                    self._relay(client, server)

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        while command := client.recv(65536):
            server.sendall(command)
            answer = server.recv(65536)
            self._writes += b"RPUSH" in command
            if b"RPUSH" in command and self._writes == self._at:
                if self._betrayal == "hang up":
                    return
                answer = b"-READONLY You can't write against a read only replica.\r\n"
            client.sendall(answer)

    def close(self) -> None:
        """Take no more clients."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def lying(behind: RedisServer, at: int, betrayal: Literal["refuse", "hang up"]) -> Iterator[Liar]:
    """A liar that serves while the test runs."""
    liar = Liar(behind, at, betrayal)
    thread = threading.Thread(target=liar.serve)
    thread.start()
    try:
        yield liar
    finally:
        liar.close()
        thread.join(5)
