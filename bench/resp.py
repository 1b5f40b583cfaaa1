"""A bare RESP2 connection: sends commands in one packet and reads the replies in order.

For what must cost as little as possible: the floor, and the writers' process.
"""

import socket
from typing import Any

Command = tuple[str | int, ...]


class ErrorReply(Exception):
    """An error reply of redis."""


def packed(*command: str | int) -> bytes:
    """A command as it is sent."""
    words = [str(word).encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


class Connection:
    """A connection to one server; `timeout` (seconds) applies to each wait on the socket."""

    def __init__(self, host: str, port: int, timeout: float = 30) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self._socket.makefile("rb")

    def send(self, *commands: Command) -> list[Any]:
        """Send the commands as one packet and return the replies. Raises the first error among them."""
        self.write(*commands)
        return self.read(len(commands))

    def write(self, *commands: Command) -> None:
        """Send the commands as one packet; read() returns the replies."""
        self._socket.sendall(b"".join(packed(*command) for command in commands))

    def read(self, count: int) -> list[Any]:
        """The next `count` replies. Raises the first error among them."""
        replies = [self._reply() for _ in range(count)]
        for reply in replies:
            if isinstance(reply, ErrorReply):
                raise reply
        return replies

    def receive(self) -> Any:
        """The next reply or message, for a connection that has subscribed."""
        return self._reply()

    def info(self, section: str = "replication") -> dict[str, str]:
        """A section of INFO as a dict."""
        return fields(self.send(("INFO", section))[0])

    def close(self) -> None:
        """Close it."""
        self._reader.close()
        self._socket.close()

    def _reply(self) -> Any:
        line = self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if rest == b"-1" else self._reader.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        return ErrorReply(rest.decode()) if kind == b"-" else rest.decode()


def fields(text: str) -> dict[str, str]:
    """INFO's lines `name:value` as a dict."""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
