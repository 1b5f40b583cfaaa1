"""One receiver's part in a run: the PUT to it, and the line about it in the log."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from logging import INFO, WARNING

from safe_redis.early import Hint
from safe_redis.errors import TopologyError
from safe_redis.repeats import Repeats
from safe_redis.srv import Endpoint
from topology_observer.force import PendingForce
from topology_observer.held import Held
from topology_observer.notify import Answer, Notifier, NotSent, Request
from topology_observer.settings import Receiver

log = logging.getLogger(__name__)


class Notification:
    """Notifies a receiver once; `place` is where it listens."""

    def __init__(
        self,
        notifier: Notifier,
        receiver: Receiver,
        place: Future[tuple[Endpoint, ...]],
        request: Request,
        *,
        force: PendingForce,
        repeats: Repeats,
    ) -> None:
        self._notifier = notifier
        self._receiver = receiver
        self._place = place
        self._request = request
        self._force = force
        self._repeats = repeats
        self._held: Held | None = None

    def hold(self) -> None:
        """Has the receiver get ready: sends all but the last byte. What fails is tried again by `send`."""
        if self._held is not None:
            return
        try:
            self._held = self._notifier.hold(self._receiver, self._place.result(), self._request)
        except TopologyError as error:
            log.debug("could not have %s get ready: %s", self._receiver, error)

    def send(self, hinted: Callable[[Hint], None]) -> Answer:
        """Completes what is held, or sends all of it. Unresolved, NotSent or NoAnswer where that fails.

        `hinted` is called with what the receiver says before its answer.
        """
        held, self._held = self._held, None
        places = self._place.result()
        force = self._force.spend()
        started = time.monotonic()
        try:
            answer = self._notifier.put(self._receiver, places, self._request, hinted, held)
        except NotSent:
            self._force.restore(force)
            raise
        ms = 1000 * (time.monotonic() - started)
        line = f"notified {self._receiver} at {answer.at}: {answer.status} {answer.line} ({ms:.1f} ms)"
        good = answer.status in (200, 202)
        self._repeats.log(INFO if good else WARNING, str(self._receiver), line, again=answer.status != 200)
        return answer

    def drop(self) -> None:
        """Ends the connection of what is held, if anything still is: it will never be complete."""
        if self._held is not None:
            self._held.connection.close()
            self._held = None
