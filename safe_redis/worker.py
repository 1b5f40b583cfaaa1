"""gunicorn's threaded worker, made safe against clients that are slow on purpose.

A connection costs no thread until it sends something, and must have sent its whole request within
REQUEST_SECONDS. When too many are open, the oldest of those that haven't is ended for the newest.
Connections are closed by their own threads: gunicorn's waits for the client to close, up to 2 s
each, in the one thread that accepts.
"""

import errno
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker

from safe_redis.web import READ, RECEIVED

# for a whole request, from the connection on; and for a whole answer
REQUEST_SECONDS = 10.0
ANSWER_SECONDS = 30.0
# connections that are left to those whose threads are about to end
SPARE = 100
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NOT_THERE_ANY_MORE = (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK)


class Connection(TConn):  # type: ignore[misc] # gunicorn has no types
    """A client's connection, which its own thread closes gracefully."""

    def close(self, graceful: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - gunicorn's signature
        """Only what is left to do: the thread has waited for the client."""
        util.close(self.sock)


class Worker(ThreadWorker):  # type: ignore[misc] # the same
    """The worker class that safe_redis.server names."""

    wsgi: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # until when each connection with a thread must have sent its request, the oldest first
        self._receiving: dict[Connection, float] = {}
        self._own = threading.local()

    def load_wsgi(self) -> None:
        """Wraps the app, so that it is known when a request has been received."""
        super().load_wsgi()
        app = self.wsgi

        def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            received = partial(self._received, self._own.connection)
            environ[RECEIVED] = received
            environ[READ] = environ["wsgi.input"].reader.read
            if environ.get("CONTENT_LENGTH", "0") == "0" and "HTTP_TRANSFER_ENCODING" not in environ:
                received()
            return app(environ, start_response)

        self.wsgi = wrapped

    def accept(self, listener: socket.socket) -> None:
        """Accepts a connection; it gets a thread when it has sent something."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in TOO_MANY_FILES:
                self._end_oldest()
            elif error.errno not in NOT_THERE_ANY_MORE:
                raise
            return
        connection = Connection(self.cfg, client, address, listener.getsockname())
        connection.timeout = time.monotonic() + REQUEST_SECONDS
        self.nr_conns += 1
        if self.nr_conns > self.worker_connections - SPARE:
            self._end_oldest()
        self.pending_conns.append(connection)
        self.poller.register(client, selectors.EVENT_READ, partial(self.on_pending_socket_readable, connection))

    def on_pending_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Gives the connection a thread."""
        self._receiving[conn] = conn.timeout
        super().on_pending_socket_readable(conn, client)

    def handle(self, conn: Connection) -> Any:
        """Serves the connection, in its thread, and closes it."""
        self._own.connection = conn
        try:
            return super().handle(conn)
        finally:
            self._receiving.pop(conn, None)
            with suppress(OSError):  # the client may have gone
                util.close_graceful(conn.sock)

    def notify(self) -> None:
        """Ends what is too slow; called about once a second by the thread that accepts."""
        super().notify()
        now = time.monotonic()
        for connection, deadline in list(self._receiving.items()):
            if deadline > now:
                break
            self._end(connection)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """At SIGTERM, those that have sent nothing yet end at once."""
        super().handle_exit(sig, frame)
        self.method_queue.defer(self._end_pending)

    def _received(self, connection: Connection) -> None:
        self._receiving.pop(connection, None)
        connection.sock.settimeout(ANSWER_SECONDS)

    def _end_pending(self) -> None:
        for connection in self.pending_conns:
            connection.timeout = 0.0
        self.murder_pending()

    def _end_oldest(self) -> None:
        """Ends the connection that has had the most time to send its request."""
        if self.pending_conns:
            self.pending_conns[0].timeout = 0.0
            self.murder_pending()
        elif oldest := next(iter(self._receiving), None):
            self._end(oldest)

    def _end(self, connection: Connection) -> None:
        """Wakes the thread that reads from the connection, as if the client had closed it."""
        self._receiving.pop(connection, None)
        with suppress(OSError):
            # not SSLSocket's own: that takes away what the thread works with
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
