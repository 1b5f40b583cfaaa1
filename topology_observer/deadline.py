"""Reads an HTTP answer by one deadline for all of it.

A socket's own timeout begins anew with each byte: a receiver that sends one now and then would hold a run for ever.
"""

import io
import socket
import time
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def response(connection: HTTPConnection, method: str, seconds: float) -> HTTPResponse:
    """The answer to the request that was sent on `connection`: status and headers; its body is read from it.

    TimeoutError, also from reading the body, once `seconds` are over.
    """
    source = _Source(connection.sock, time.monotonic() + seconds)
    answer = HTTPResponse(cast("socket.socket", source), method=method)
    answer.begin()
    return answer


class _Source(io.RawIOBase):
    """What the socket receives until the deadline (time.monotonic()). Whoever opened the socket closes it."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, _: str) -> io.BufferedReader:
        """What HTTPResponse asks its socket for."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)
