"""Many conversations with instances at once, in one thread: none of them waits for another.

A conversation is a generator. It yields what its connection waits for (POLLIN or POLLOUT) until the connection's
deadline. When that has passed, a TimeoutError is thrown into it.
"""

import math
import select
import time
from collections.abc import Generator, Sequence
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
Waits = Generator[int, None, T]


class Waiting(Protocol):
    """What a conversation is held over."""

    deadline: float
    """When it has waited long enough, by time.monotonic()."""

    def fileno(self) -> int:
        """The open socket's number."""


class Talk(Generic[T]):
    """A conversation that is going on over a connection, and its result."""

    def __init__(self, connection: Waiting, waits: Waits[T]) -> None:
        self.connection = connection
        self._waits = waits
        self._results: list[T] = []

    @property
    def result(self) -> T:
        """What the conversation returned; only once it is over."""
        return self._results[0]

    def go_on(self, *, late: bool = False) -> int | None:
        """Carries it on until it waits again, and returns for what; None when it is over."""
        try:
            return self._waits.throw(TimeoutError()) if late else next(self._waits)
        except StopIteration as end:
            self._results.append(end.value)
            return None


def drive(talks: Sequence[Talk[Any]]) -> None:
    """Carries all conversations on, side by side, until each is over. None of them may raise."""
    poll = select.poll()
    waiting: dict[int, Talk[Any]] = {}

    def go_on(talk: Talk[Any], *, late: bool = False) -> None:
        events = talk.go_on(late=late)
        if events is not None:
            file = talk.connection.fileno()
            waiting[file] = talk
            poll.register(file, events)

    for talk in talks:
        go_on(talk)
    while waiting:
        left = min(talk.connection.deadline for talk in waiting.values()) - time.monotonic()
        for file, _ in poll.poll(max(0, math.ceil(left * 1000))):
            poll.unregister(file)
            go_on(waiting.pop(file))
        now = time.monotonic()
        for file in [file for file, talk in waiting.items() if talk.connection.deadline <= now]:
            poll.unregister(file)
            go_on(waiting.pop(file), late=True)
