"""A proxy in front of a real redis that breaks a connection at a chosen command, before or after redis has got it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sandbox.redis import RedisServer


class Relay:
    """Forwards requests and replies, each in one piece as the client sends it.

    At the next request that holds `at`, `lose` decides what is lost: the "request" itself, the "reply" (redis has
    executed the request by then), or all of the reply but its first `keep` bytes.
    """

    def __init__(self, behind: RedisServer) -> None:
        self._behind = behind
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.at = b""
        self.lose = "reply"
        self.keep = 0
        self.requests = 0

    def serve(self) -> None:
        """Take clients until closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection((self._behind.host, self._behind.port)) as server:
            while request := client.recv(1 << 16):
                betrayed = bool(self.at) and self.at in request
                if betrayed:
                    self.at = b""
                    if self.lose == "request":
                        return
                self.requests += 1
                server.sendall(request)
                reply = server.recv(1 << 16)
                client.sendall(reply[: self.keep] if betrayed else reply)
                if betrayed:
                    return

    def close(self) -> None:
        """Take no more clients."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def relaying(server: RedisServer) -> Iterator[Relay]:
    """A relay while the block runs."""
    relay = Relay(server)
    thread = threading.Thread(target=relay.serve)
    thread.start()
    try:
        yield relay
    finally:
        relay.close()
        thread.join(5)
