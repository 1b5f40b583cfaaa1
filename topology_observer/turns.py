"""Notifies one receiver after the other, the next one early if the one before says that it may."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from threading import Thread
from typing import Self

from topology_observer.notify import Answer

log = logging.getLogger(__name__)

Notification = Callable[[Callable[[], None]], Answer]
"""Notifies a receiver, and calls what it is given if that says early that the next one may be notified."""


class Turns:
    """A context manager: its end waits for what was begun early, so that the next run finds nothing of this one left.

    At the end of the process (SystemExit) it doesn't wait.
    """

    def __init__(self, notifications: Sequence[Notification]) -> None:
        self._notifications = notifications
        # those that were begun early, by their places
        self._begun: dict[int, Future[Answer]] = {}
        # how many answers were asked for
        self._asked = 0

    def answers(self) -> Iterator[Answer]:
        """The answers in order; each receiver is notified when its answer is asked for, unless it was early.

        What a notification raises is raised in its place.
        """
        for at in range(len(self._notifications)):
            self._asked += 1
            yield self._begun[at].result() if at in self._begun else self._notify(at)

    def _notify(self, at: int) -> Answer:
        return self._notifications[at](partial(self._begin, at + 1))

    def _begin(self, at: int) -> None:
        if at < len(self._notifications) and at not in self._begun:
            self._begun[at] = _beside(partial(self._notify, at))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, Exception):
            return
        while under_way := [turn for turn in list(self._begun.values()) if not turn.done()]:
            wait(under_way)
        for at, turn in self._begun.items():
            if at >= self._asked and (error := turn.exception()):
                log.warning("failed to notify early: %s", error)


def _beside(notify: Callable[[], Answer]) -> Future[Answer]:
    """What will come of it in a thread of its own; the process may end before."""
    begun: Future[Answer] = Future()

    def work() -> None:
        try:
            begun.set_result(notify())
        except BaseException as error:  # noqa: BLE001 - raised where the answer is asked for
            begun.set_exception(error)

    Thread(target=work, name="early", daemon=True).start()
    return begun
