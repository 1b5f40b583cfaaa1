"""What a caller of the client may have to handle. All are RedisErrors, so that a handler for redis-py catches them.

`OutcomeUnknown` is not a `redis.ConnectionError` on purpose: programs repeat a command after one of those, and this
command may have been executed.
"""

from collections.abc import Sequence
from typing import Any

import redis

from safe_redis.errors import TopologyError, Unavailable


class NoMaster(Unavailable, redis.ConnectionError):
    """No master could be found, reached or written to within `patience`. Nothing was executed; try again later."""


class ScanInterrupted(TopologyError, redis.RedisError):
    """A scan can't go on: its cursor is another instance's. Elements may come twice when it begins again, as ever."""


class OutcomeUnknown(TopologyError, redis.RedisError):
    """A command was sent and not answered: it may have been executed, or not. It was sent once.

    `replies` are those that came before the connection broke, if the command was a pipeline; its other commands have
    an unknown outcome.
    """

    def __init__(self, message: str, replies: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.replies = tuple(replies)
