"""SCAN and its kind: a cursor means something only to the instance that gave it. Pure: no I/O, no clock."""

from collections.abc import Sequence
from typing import Any

from safe_redis.client.errors import ScanInterrupted
from safe_redis.srv import Endpoint

COMMANDS = frozenset({"SCAN", "HSCAN", "SSCAN", "ZSCAN"})
RESTARTS = 10
"""How often an iterator begins again: slaves that are read by several threads may never let it come to an end."""


class Cursor(int):
    """A cursor, with the instance that gave it. It goes back there as any number does."""

    endpoint: Endpoint


def marked(reply: Any, endpoint: Endpoint) -> Any:
    """The reply to one of COMMANDS, its cursor as a Cursor; what a caller's own callback has made of it stays that."""
    match reply:
        case (int(number), elements):
            cursor = Cursor(number)
            cursor.endpoint = endpoint
            return cursor, elements
    return reply


def check(command: Sequence[Any], endpoint: Endpoint) -> None:
    """ScanInterrupted if the cursor of the command, one of COMMANDS, is another instance's."""
    for word in command:
        if isinstance(word, Cursor) and word and word.endpoint != endpoint:
            raise ScanInterrupted(
                f"{command[0]}: its cursor is from {word.endpoint}, and stands for other elements at {endpoint}; "
                "begin again with 0"
            )
