"""A TCP proxy for tests: forwards connections, can be cut and healed, and lets a subclass change what passes."""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from sandbox.process import free_port

CHUNK = 1 << 16
LOOPBACK = "127.0.0.1"


class Conversation:
    """One connection through a proxy. Subclasses override request() and reply() to watch, change or drop data."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client = client
        self._server = server
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, chunk: bytes) -> bytes:
        """Return what the server shall receive for this chunk from the client; b"" ends the conversation."""
        return chunk

    def reply(self, chunk: bytes) -> bytes:
        """Return what the client shall receive for this chunk from the server; b"" ends the conversation."""
        return chunk

    def run(self) -> None:
        """Forward both ways until either side closes."""
        replies = threading.Thread(target=self._forward, args=(self._server, self._client, self.reply), daemon=True)
        replies.start()
        self._forward(self._client, self._server, self.request)
        replies.join()

    def abort(self) -> None:
        """Reset both connections."""
        reset(self._client)
        reset(self._server)

    def _forward(self, source: socket.socket, sink: socket.socket, change: Callable[[bytes], bytes]) -> None:
        with suppress(OSError):
            while (chunk := source.recv(CHUNK)) and (passed := change(chunk)):
                sink.sendall(passed)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


Start = Callable[[socket.socket, socket.socket], Conversation]
"""Makes the conversation of a client's and a server's socket."""


class Proxy:
    """Listens on a port of its own and forwards each connection to `host` and `port`; `target` may be changed."""

    def __init__(self, port: int, host: str = LOOPBACK, conversation: Start = Conversation) -> None:
        self.host = LOOPBACK
        self.port = free_port()
        self.target = (host, port)
        self._conversation = conversation
        self._lock = threading.Lock()
        self._open: set[Conversation] = set()
        self._cut = False
        self._listener: socket.socket | None = None
        self.heal()

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """The open ones."""
        with self._lock:
            return tuple(self._open)

    def heal(self) -> None:
        """Accept connections; nothing happens if it does already."""
        self._cut = False
        if self._listener is None:
            self._listener = socket.create_server((self.host, self.port), backlog=128)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse new connections; open ones end with their peers."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # close() alone doesn't wake the thread that waits for a connection
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def cut(self) -> None:
        """Refuse new connections and reset the open ones."""
        self.close()
        with self._lock:
            self._cut = True
        for conversation in self.conversations:
            conversation.abort()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                reset(client)
                return
            server.settimeout(None)
            with server:
                conversation = self._conversation(client, server)
                with self._lock:
                    self._open.add(conversation)
                    if self._cut:  # while it connected
                        conversation.abort()
                try:
                    conversation.run()
                finally:
                    with self._lock:
                        self._open.discard(conversation)


def reset(end: socket.socket) -> None:
    """Make the peer see a reset connection, and wake the thread that reads from this end."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
