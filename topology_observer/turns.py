"""Notifies one receiver after the other, the next one early if the one before says that it may."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from safe_redis.errors import TopologyError
from topology_observer.notify import Answer

log = logging.getLogger(__name__)

Notification = Callable[[Callable[[], None]], Answer]
"""Notifies a receiver, and calls what it is given if that says early that the next one may be notified."""


def in_turn(notifications: Sequence[Notification]) -> Iterator[Answer]:
    """The answers in order; each receiver is notified when its answer is asked for, unless it was early.

    An early one is notified in the middle of the one before, whose answer is read after that: both are needed for the
    run to end, and so it takes no longer. What a notification raises is raised in its own place.
    """
    early: dict[int, Answer | Exception] = {}

    def notify(at: int) -> Answer:
        return notifications[at](partial(hinted, at + 1))

    def hinted(at: int) -> None:
        if at == len(notifications) or at in early:
            return
        try:
            early[at] = notify(at)
        except Exception as error:  # says nothing of the one before
            log.warning("failed to notify early: %s", error, exc_info=not isinstance(error, TopologyError))
            early[at] = error

    for at in range(len(notifications)):
        answer = early[at] if at in early else notify(at)
        if isinstance(answer, Exception):
            raise answer
        yield answer
