"""A PUT whose last byte is held back until it shall be done, so that its receiver gets ready meanwhile.

If that byte never comes, there is no document, even for a receiver that doesn't look at the length.
"""

import logging
import select
import socket
import time
from dataclasses import dataclass
from http.client import HTTPConnection

from safe_redis.srv import Endpoint

log = logging.getLogger(__name__)

# seconds for which it may be held; its receiver waits a little longer
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Held:
    """All but the `last` byte was sent on `connection`, to `at`."""

    connection: HTTPConnection
    at: Endpoint
    last: bytes
    began: float
    """By time.monotonic()."""

    def complete(self) -> bool:
        """Sends the last byte. False where it is too late for that, and the connection ends."""
        try:
            if time.monotonic() - self.began < PATIENCE and not self._ended():
                self.connection.sock.sendall(self.last)
                return True
        except OSError as error:
            log.debug("could not complete a PUT to %s: %r", self.at, error)
        self.connection.close()
        return False

    def _ended(self) -> bool:
        """Whether the receiver has closed the connection. It may have answered before, which isn't looked at."""
        sock = self.connection.sock
        readable, _, _ = select.select([sock], [], [], 0)
        # not SSLSocket's own, which takes no flags
        return bool(readable) and socket.socket.recv(sock, 1, socket.MSG_PEEK) == b""
