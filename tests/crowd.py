"""Clients that want a server's threads and nothing else: some are silent, some send a byte a second."""

import resource
import socket
import threading
import time
from contextlib import suppress
from typing import Self

HEAD = b"PUT / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 4000


class Crowd:
    """A context manager that keeps as many connections of each kind to a port of the loopback interface."""

    def __init__(self, port: int, silent: int, dripping: int) -> None:
        self._address = ("127.0.0.1", port)
        self._counts = (silent, dripping)
        self._over = threading.Event()
        self._silent: list[socket.socket] = []
        self._dripping: list[socket.socket] = []
        self._drip = threading.Thread(target=self._keep_dripping, daemon=True)

    @property
    def ended(self) -> bool:
        """Whether the server has ended every connection."""
        return all(_ended(connection) for connection in (*self._silent, *self._dripping))

    def _keep_dripping(self) -> None:
        for at in range(len(HEAD)):
            for connection in self._dripping:
                with suppress(OSError):  # the server may have ended it
                    connection.send(HEAD[at : at + 1], socket.MSG_NOSIGNAL)
            if self._over.wait(1):
                return

    def __enter__(self) -> Self:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
        silent, dripping = self._counts
        # a server that is at its limit may take its time
        self._dripping += [socket.create_connection(self._address, timeout=20) for _ in range(dripping)]
        self._silent += [socket.create_connection(self._address, timeout=20) for _ in range(silent)]
        self._drip.start()
        # all of them have sent something by then
        time.sleep(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._drip.join()
        for connection in (*self._silent, *self._dripping):
            connection.close()


def _ended(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        while connection.recv(1000):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
