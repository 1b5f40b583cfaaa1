"""Reads an HTTP answer by one deadline for all of it.

A socket's own timeout begins anew with each byte: a receiver that sends one now and then would hold a run for ever.
"""

import io
import socket
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, cast

from safe_redis.early import Hint

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def response(
    connection: HTTPConnection, method: str, seconds: float, hinted: Callable[[Hint], None] = lambda _: None
) -> HTTPResponse:
    """The answer to the request that was sent on `connection`: status and headers; its body is read from it.

    `hinted` is called for each Hint of an interim answer. TimeoutError, also from reading the body, once `seconds` are
    over.
    """
    source = _Source(connection.sock, time.monotonic() + seconds)
    while True:
        answer = HTTPResponse(cast("socket.socket", source), method=method)
        answer.begin()
        if not 100 <= answer.status < 200:
            return answer
        answer.fp = None  # type: ignore[assignment] # its end would close what the next one is read from
        for hint in Hint:
            if hint.value in answer.headers:
                source.off_the_clock(partial(hinted, hint))


class _Source(io.RawIOBase):
    """What the socket receives until the deadline (time.monotonic()). Whoever opened the socket closes it."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self._buffered = io.BufferedReader(self)

    def makefile(self, _: str) -> "io.BufferedReader[_Source]":
        """What HTTPResponse asks its socket for: the same each time, since it holds what was received already."""
        return self._buffered

    def off_the_clock(self, work: Callable[[], None]) -> None:
        """Calls `work`, whose time doesn't count."""
        began = time.monotonic()
        work()
        self._deadline += time.monotonic() - began

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)
