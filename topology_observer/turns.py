"""Notifies one receiver after the other, the next one early if the one before says that it may."""

import logging
from collections.abc import Generator, Sequence
from functools import partial

from safe_redis.early import Hint
from safe_redis.errors import TopologyError
from topology_observer.notification import Notification
from topology_observer.notify import Answer

log = logging.getLogger(__name__)


def in_turn(notifications: Sequence[Notification]) -> Generator[Answer, None, None]:
    """The answers in order; each receiver is notified when its answer is asked for, unless it was early.

    What a notification raises is raised in its own place. Close it, so that what is held is dropped.
    """
    turns = _Turns(notifications)
    try:
        for at in range(len(notifications)):
            yield turns.answer(at)
    finally:
        for notification in notifications:
            notification.drop()


class _Turns:
    """Notifies a receiver early in the middle of the one before, whose answer is read after that.

    Both are needed for the run to end, and so it takes no longer.
    """

    def __init__(self, notifications: Sequence[Notification]) -> None:
        self._notifications = notifications
        self._early: dict[int, Answer | Exception] = {}

    def answer(self, at: int) -> Answer:
        """That of the receiver at this place; it is notified, if it wasn't."""
        answer = self._early[at] if at in self._early else self._notify(at)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _notify(self, at: int) -> Answer:
        return self._notifications[at].send(partial(self._hinted, at + 1))

    def _hinted(self, at: int, hint: Hint) -> None:
        """The one before the receiver at this place has said something."""
        if at == len(self._notifications) or at in self._early:
            return
        if hint is Hint.TARGET:
            self._notifications[at].hold()
            return
        try:
            self._early[at] = self._notify(at)
        except Exception as error:  # says nothing of the one before
            log.warning("failed to notify early: %s", error, exc_info=not isinstance(error, TopologyError))
            self._early[at] = error
