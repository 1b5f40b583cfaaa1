"""Redis's protocol (RESP2) on the wire. Pure: no I/O, no clock.

Written for peers that may be hostile: nothing is allocated by an announced length, nothing recurses, and every size
has a limit. What a peer sent is never part of a message, except for error texts that are known to be redis's own.
"""

import os
import re
from functools import lru_cache
from typing import Any

from dictator.link import Command, ServerError

# how a line begins, by what it holds
STATUS, ERROR, NUMBER, BULK, ARRAY = KINDS = b"+-:$*"
DIGITS = re.compile(rb"-?\d{1,19}")
# the longest line that isn't bulk data, in bytes, and the deepest nesting of arrays
LINE = 16 << 10
DEPTH = 8

# error codes of Redis and Valkey, and those of their texts that help an operator
CODES = re.compile(
    "ASK|BUSY|BUSYGROUP|BUSYKEY|CLUSTERDOWN|CROSSSLOT|DENIED|ERR|EXECABORT|INPROG|LOADING|MASTERDOWN|MISCONF|MOVED|"
    "NOAUTH|NOGOODSLAVE|NOMASTERLINK|NOPERM|NOPROTO|NOREPLICAS|NOSCRIPT|NOTBUSY|OOM|READONLY|SYNTAX|TRYAGAIN|"
    "UNBLOCKED|UNKILLABLE|WRONGPASS|WRONGTYPE"
)
TEXTS = (
    "WRONGPASS invalid username-password pair or user is disabled",
    "NOAUTH Authentication required",
    "NOPERM this user has no permissions to",
    "LOADING Redis is loading the dataset in memory",
    "LOADING Valkey is loading the dataset in memory",
    "READONLY You can't write against a read only replica",
    "OOM command not allowed when used memory > 'maxmemory'",
    "NOREPLICAS Not enough good replicas to write",
    "MISCONF Errors writing to the AOF file",
    "MISCONF Redis is configured to save RDB snapshots",
    "MISCONF Valkey is configured to save RDB snapshots",
    "DENIED Redis is running in protected mode",
    "DENIED Valkey is running in protected mode",
    "EXECABORT Transaction discarded because of previous errors",
    "ERR AUTH <password> called without any password configured for the default user",
    "ERR The server is running without a config file",
    "ERR Rewriting config file",
    "ERR max number of clients reached",
    "ERR max number of clients + cluster connections reached",
    "ERR REPLICAOF not allowed in cluster mode",
    "ERR syntax error",
    "ERR unknown command",
    "ERR unknown subcommand",
    "ERR Unknown subcommand",
)
# what a text may end with: the operating system's own words, as in "Rewriting config file: Permission denied"
REASONS = frozenset(os.strerror(number) for number in range(1, 134))


class Malformed(Exception):
    """What came is not a reply of redis; the message says why, in our own words."""


@lru_cache(maxsize=128)
def packed(commands: tuple[Command, ...]) -> bytes:
    """The commands as they are sent. Kept, since most are sent again and again, and while clients wait."""
    return b"".join(map(_packed, commands))


def _packed(command: Command) -> bytes:
    words = [str(word).encode() for word in command]
    return b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))


class Parser:
    """Makes replies of the bytes that are fed to it; `replies` holds the complete ones. At most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.replies: list[Any] = []
        self._limit = limit
        self._size = 0
        self._buffer = bytearray()
        self._at = 0
        self._bulk = -1
        # arrays that aren't complete yet, the outermost first, each with the number of its items
        self._open: list[tuple[list[Any], int]] = []

    @property
    def between_replies(self) -> bool:
        """Whether nothing follows the last complete reply."""
        return not self._buffer and not self._open and self._bulk < 0

    def feed(self, data: bytes) -> None:
        """Takes the next bytes. Raises Malformed."""
        self._size += len(data)
        if self._size > self._limit:
            raise Malformed(f"its reply is longer than {self._limit} bytes")
        self._buffer += data
        while self._bulk_ends() if self._bulk >= 0 else self._line_ends():
            pass
        del self._buffer[: self._at]
        self._at = 0

    def _line_ends(self) -> bool:
        """Takes one line from the buffer; False if it isn't complete yet."""
        start = self._at
        if start == len(self._buffer):
            return False
        kind = self._buffer[start]
        if kind not in KINDS:
            raise Malformed("what it says is not redis's protocol")
        end = self._buffer.find(b"\r\n", start, start + LINE)
        if end < 0:
            if len(self._buffer) - start >= LINE:
                raise Malformed(f"a line of its reply is longer than {LINE} bytes")
            return False
        self._at = end + 2
        line = self._buffer[start + 1 : end]
        if kind in (BULK, ARRAY):
            self._length(kind, _number(line))
        elif kind == NUMBER:
            self._add(_number(line))
        else:
            text = line.decode(errors="replace")
            self._add(text if kind == STATUS else ServerError(known(text)))
        return True

    def _length(self, kind: int, length: int) -> None:
        if not -1 <= length <= self._limit:
            raise Malformed(f"its reply announces a length beyond {self._limit}")
        if length < 0:
            self._add(None)
        elif kind == BULK:
            self._bulk = length
        elif length == 0:
            self._add([])
        elif len(self._open) == DEPTH:
            raise Malformed(f"its reply is nested deeper than {DEPTH}")
        else:
            self._open.append(([], length))

    def _bulk_ends(self) -> bool:
        """Takes the string whose length was announced; False if it isn't complete yet."""
        end = self._at + self._bulk
        if len(self._buffer) < end + 2:
            return False
        if self._buffer[end : end + 2] != b"\r\n":
            raise Malformed("a string of its reply is longer than announced")
        text = self._buffer[self._at : end].decode(errors="replace")
        self._at, self._bulk = end + 2, -1
        self._add(text)
        return True

    def _add(self, value: Any) -> None:
        while self._open:
            items, count = self._open[-1]
            items.append(value)
            if len(items) < count:
                return
            self._open.pop()
            value = items
        self.replies.append(value)


def _number(line: bytearray) -> int:
    if not DIGITS.fullmatch(line):
        raise Malformed("a number in its reply is none")
    return int(line)


def known(text: str) -> str:
    """An error's text as far as it is redis's own: one of TEXTS, else one of CODES, else "an unknown error"."""
    for start in TEXTS:
        if text.startswith(start):
            reason = text[len(start) :].removeprefix(": ")
            return f"{start}: {reason}" if reason in REASONS else start
    code = text.partition(" ")[0]
    return code if CODES.fullmatch(code) else "an unknown error"
