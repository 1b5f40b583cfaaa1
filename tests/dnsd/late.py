"""A way to etcd that holds requests back and delivers them later, also when their sender has given up."""

import socket
import threading

from sandbox.proxy import Conversation, Proxy


class LateProxy(Proxy):
    """A proxy that can hold back what clients send; answers always pass."""

    def __init__(self, port: int) -> None:
        self.passing = threading.Event()
        self.passing.set()
        self.what = b""
        self.held = 0
        super().__init__(port, conversation=self._conversation_of)

    def _conversation_of(self, client: socket.socket, server: socket.socket) -> Conversation:
        return _Late(client, server, self)

    def hold(self, what: bytes) -> None:
        """Hold back from now on what holds these bytes, and what follows on its connection."""
        self.what = what
        self.held = 0
        self.passing.clear()

    def deliver(self) -> None:
        """Deliver what was held back, and whatever comes from now on."""
        self.passing.set()


class _Late(Conversation):
    def __init__(self, client: socket.socket, server: socket.socket, proxy: LateProxy) -> None:
        super().__init__(client, server)
        self._proxy = proxy

    def request(self, chunk: bytes) -> bytes:
        if self._proxy.what in chunk and not self._proxy.passing.is_set():
            self._proxy.held += 1
            self._proxy.passing.wait(60)
        return chunk
