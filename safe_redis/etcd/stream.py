"""An answer of etcd that goes on: lines, each waited for with a deadline."""

import time

import urllib3
from urllib3.exceptions import HTTPError, ReadTimeoutError

from safe_redis.etcd.failure import MemberFailed


class Stream:
    """Reads the lines of a response. Whoever opened the response closes it."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self.status = response.status
        self._response = response
        self._chunks = response.stream(decode_content=False)
        self._unread = b""

    def line(self, timeout: float) -> bytes | None:
        """The next line; None after `timeout` seconds, and then the stream is of no more use."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._unread:
            self._limit(deadline - time.monotonic())
            try:
                chunk = next(self._chunks, None)
            except ReadTimeoutError:
                return None
            except HTTPError as error:
                raise MemberFailed(str(error)) from error
            if chunk is None:
                raise MemberFailed("ended its answer")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def rest(self) -> bytes:
        """All that is left of an answer that ends by itself."""
        try:
            return self._unread + b"".join(self._chunks)
        except HTTPError as error:
            raise MemberFailed(str(error)) from error

    def _limit(self, seconds: float) -> None:
        # urllib3's own limit is for the whole answer's every read; here each line has its own
        sock = getattr(self._response.connection, "sock", None)
        if sock is not None:
            sock.settimeout(max(seconds, 0.001))
