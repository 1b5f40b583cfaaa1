"""What the blocking and the asyncio client have in common: which failures are tried again. Pure: no I/O."""

from collections.abc import Iterable, Sequence
from typing import Any

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ConnectionError,  # noqa: A004 - redis-py's name
    MaxConnectionsError,
    ReadOnlyError,
    RedisError,
    TimeoutError,  # noqa: A004 - redis-py's name
)

from safe_redis.client import commands
from safe_redis.client.errors import NoMaster, OutcomeUnknown
from safe_redis.client.replies import REFUSALS, Unanswered, Unblocked

BROKEN = (ConnectionError, TimeoutError)
PERMANENT = (AuthenticationError, AuthorizationError, MaxConnectionsError, NoMaster)
BLOCK = "safe_redis_block"
"""The option by which execute_command says to parse_response for how many seconds the server may wait."""


def answered(error: RedisError) -> bool:
    """Whether a ConnectionError of redis-py is a server's reply."""
    return error.status_code is not None


def reply_timeout(block: float, socket_timeout: float | None) -> float | None:
    """Seconds to wait for the reply of a command that the server may hold for `block` seconds; None is for ever."""
    return None if not block or socket_timeout is None else block + socket_timeout


def repeatable(command: Sequence[Any], *, idempotent: bool) -> bool:
    """Whether a command that may have been executed may be sent again."""
    return idempotent or commands.only_reads(command)


def may_repeat(failure: RedisError, command: Sequence[Any], *, writable: bool, idempotent: bool) -> bool:
    """Whether `command` may be sent again after this failure. OutcomeUnknown where nobody can know."""
    if isinstance(failure, Unanswered):
        if repeatable(command, idempotent=idempotent):
            return True
        raise OutcomeUnknown(f"{commands.name(command)[0]}: {failure}") from failure
    if isinstance(failure, Unblocked):
        return commands.blocks(command) is not None
    if isinstance(failure, REFUSALS):
        return refused(failure, writable=writable)
    return isinstance(failure, BROKEN) and not isinstance(failure, PERMANENT)


def refused(reply: object, *, writable: bool) -> bool:
    """Whether a reply says that the command was not executed, and another instance may execute it."""
    return isinstance(reply, REFUSALS) and not final(reply, writable=writable)


def final(failure: object, *, writable: bool) -> bool:
    """Whether another attempt would fail in the same way; so it is with a write if only slaves are asked."""
    return isinstance(failure, PERMANENT) or (isinstance(failure, ReadOnlyError) and not writable)


class Progress:
    """How far a pipeline has come over its attempts. `replies` are final.

    `writable` is whether it goes to a master; a transaction is `whole`: all of it is sent again, or nothing.
    """

    def __init__(
        self, stack: Sequence[tuple[Sequence[Any], Any]], *, idempotent: bool, writable: bool, whole: bool
    ) -> None:
        self._stack = stack
        self._idempotent = idempotent
        self._writable = writable
        self._whole = whole
        self.replies: list[Any] = []

    @property
    def rest(self) -> list[tuple[Sequence[Any], Any]]:
        """What is still to be sent."""
        return list(self._stack[len(self.replies) :])

    def complete(self, replies: list[Any]) -> RedisError | None:
        """Take in the replies to the whole rest. The failure after which the new rest is to be sent, if there is one.

        From the first refused command on, everything is sent again, unless a later one was executed.
        """
        place = self._first_refused(replies)
        first = 0 if self._whole else place
        if place == len(replies) or not self._nothing_executed(self.rest[first:], replies[first:]):
            self.replies += replies
            return None
        self.replies += replies[:first]
        failure: RedisError = replies[place]
        return failure

    def broken(self, replies: list[Any], failure: RedisError) -> None:
        """Take in the replies that came before the connection broke. OutcomeUnknown unless the rest may be sent."""
        replies = [] if self._whole else replies
        rest, first = self.rest, self._first_refused(replies)
        open_ones = [command for command, _ in rest[len(replies) :]]
        if not (self._all_repeatable(open_ones) and self._nothing_executed(rest[first:], replies[first:])):
            known = [*self.replies, *replies]
            raise OutcomeUnknown(
                f"pipeline of {len(self._stack)}: {len(known)} answered, then {failure}", known
            ) from failure
        self.replies += replies[:first]

    def _refused(self, reply: object) -> bool:
        return refused(reply, writable=self._writable)

    def _first_refused(self, replies: list[Any]) -> int:
        return next((place for place, reply in enumerate(replies) if self._refused(reply)), len(replies))

    def _nothing_executed(self, sent: list[tuple[Sequence[Any], Any]], replies: list[Any]) -> bool:
        answers = zip(sent, replies, strict=False)
        return all(
            self._refused(reply) or repeatable(command, idempotent=self._idempotent) for (command, _), reply in answers
        )

    def _all_repeatable(self, sent: Iterable[Sequence[Any]]) -> bool:
        return all(repeatable(command, idempotent=self._idempotent) for command in sent)
