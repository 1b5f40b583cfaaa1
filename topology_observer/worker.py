"""Runs: reads the topology, notifies the receivers in order, and repeats what isn't done yet.

What was applied is applied again every RESYNC_INTERVAL, so that what somebody changed by hand
heals. That is quiet: the log has a line only if the outcome is another one than before, or if what
is wrong has been wrong for another minute. A topology that was defined since waits for its trigger.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from enum import Enum
from logging import INFO, WARNING
from random import uniform

from safe_redis.errors import TopologyError
from safe_redis.etcd import Node, Reading, Store
from safe_redis.repeats import Repeats
from safe_redis.srv import Endpoint
from safe_redis.version import Version
from topology_observer import metrics
from topology_observer.epoch import Epoch
from topology_observer.force import PendingForce
from topology_observer.notification import Notification
from topology_observer.notify import Notifier, Request
from topology_observer.pause import PauseKey
from topology_observer.settings import Settings
from topology_observer.status import Reporter
from topology_observer.turns import in_turn
from topology_observer.watch import FORCE, Mailbox, Trigger

log = logging.getLogger(__name__)

AGAIN = "again"


class Outcome(Enum):
    """How a run ended."""

    APPLIED = "every receiver answered 200"
    OPEN = "every receiver took it, but something is still open there"
    REFUSED = "a receiver refused it: the same would be refused again"
    FAILED = "a receiver failed, or could not be reached"
    UNDEFINED = "there is no topology"
    PAUSED = "paused: nothing is applied"

    @property
    def settled(self) -> bool:
        """Whether only another trigger makes another run worth its while."""
        return self not in (Outcome.OPEN, Outcome.FAILED)


class Worker:
    """Takes triggers out of the mailbox and works on the latest."""

    def __init__(
        self,
        store: Store,
        notifier: Notifier,
        settings: Settings,
        mailbox: Mailbox,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._notifier = notifier
        self._settings = settings
        self._mailbox = mailbox
        # called after each run
        self._ended = ended
        self._reporter = Reporter(store, settings.status_key)
        self._pause = PauseKey(store, settings.paused_key)
        self._epoch = Epoch(store, settings.epoch_key)
        self._repeats = Repeats(logging.getLogger("topology_observer"))
        self._force = PendingForce()
        # etcd's index of the document that the last run worked on
        self._document = 0
        # how the run ended that RETRIGGER was last told of, if it was told of this trigger
        self._retriggered: Outcome | None = None

    def work(self) -> None:
        """Never returns."""
        trigger, outcome, pauses = None, Outcome.UNDEFINED, self._pauses()
        while True:
            pause = (self._settings.resync_interval or None) if outcome.settled else next(pauses)
            newer = self._take(pause if trigger else None)
            if trigger and not newer and not outcome.settled:
                metrics.RETRIES.inc()
            if newer:
                trigger, pauses = newer, self._pauses()
                outcome = self._run(trigger) or outcome
            elif trigger:
                outcome = self._run(trigger, repeat=True, resync=outcome.settled) or outcome

    def _take(self, timeout: float | None) -> Trigger | None:
        trigger = self._mailbox.take(timeout)
        if trigger is None:
            return None
        self._retriggered = None
        self._repeats.forget()
        if trigger.anew:
            self._force.drop("etcd's history began anew")
        if trigger.forced_at is not None:
            self._force.give(trigger.forced_at)
        return trigger

    def _pauses(self) -> Iterator[float]:
        """Doubling, and never quite the same: two that get in each other's way must not do so for ever."""
        pause = self._settings.retry_first
        while True:
            yield uniform(pause / 2, pause)  # noqa: S311 - guards nothing
            pause = min(2 * pause, self._settings.retry_max)

    def _run(self, trigger: Trigger, *, repeat: bool = False, resync: bool = False) -> Outcome | None:
        """One run and its report; None where a resync has found a topology that waits for its trigger."""
        self._reporter.begin(trigger)
        outcome = self._attempt(trigger, repeat=repeat, resync=resync)
        if outcome is not None:
            self._reporter.end(outcome.name.lower())
        self._ended()
        return outcome

    def _attempt(self, trigger: Trigger, *, repeat: bool, resync: bool) -> Outcome | None:
        """From reading the topology to the retrigger. Logs what goes wrong."""
        try:
            # looked up while etcd is asked for the topology, and the later ones while the first receiver works
            places = self._notifier.locate(self._settings.receivers)
            pause = self._pause.look_up()
            # before the document: its index must be of this epoch, or of a later one
            epoch = self._epoch.name()
            reading = self._store.read(self._settings.document)
            if paused := pause.result():
                return self._paused(str(paused))
            if reading.node is None:
                return self._undefined()
            if resync and reading.node.index != self._document:
                self._repeats.log(INFO, "run", "found a newer topology, which waits for its trigger", again=False)
                return None
            outcome = self._notify_all(self._request(reading.node, reading, epoch, repeat=repeat), places)
            if outcome in (Outcome.APPLIED, Outcome.OPEN):
                self._retrigger(trigger, outcome)
        except TopologyError as error:
            self._failed(f"{type(error).__name__}: {error}")
            return Outcome.FAILED
        except Exception as error:
            log.exception("failed in a run")
            self._reporter.failed(f"{type(error).__name__}: see the observer's log")
            return Outcome.FAILED
        level = INFO if outcome is Outcome.APPLIED else WARNING
        line = f"ended the run for {trigger.value[:80]!r}: {outcome.value}"
        self._repeats.log(level, "run", line, again=outcome is not Outcome.APPLIED)
        return outcome

    def _failed(self, line: str) -> None:
        self._repeats.log(WARNING, "run", f"failed: {line}")
        self._reporter.failed(line)

    def _undefined(self) -> Outcome:
        key = self._settings.document
        self._repeats.log(WARNING, "run", f"found no topology at {key}, waits for the next trigger", again=False)
        self._reporter.failed(f"no topology is defined at {key}")
        return Outcome.UNDEFINED

    def _paused(self, line: str) -> Outcome:
        """Drops a `force`, too: it must not take effect by surprise when the pause ends."""
        self._repeats.log(WARNING, "run", f"applied nothing: {line}", again=False)
        self._reporter.failed(line)
        self._force.drop("the observer is paused")
        return Outcome.PAUSED

    def _request(self, document: Node, reading: Reading, epoch: str, *, repeat: bool) -> Request:
        self._document = document.index
        self._reporter.read(document)
        force = self._force.applies(document, reading, epoch)
        return Request(document.value.encode(), Version(epoch, document.index), force, repeat and not force)

    def _notify_all(self, request: Request, places: list[Future[tuple[Endpoint, ...]]]) -> Outcome:
        """Notifies one receiver after the other: the next one when the one before has answered well.

        Or as soon as that one has said that the master serves, whatever its answer will be then.
        """
        receivers = self._settings.receivers
        notifications = [
            Notification(self._notifier, receiver, place, request, force=self._force, repeats=self._repeats)
            for receiver, place in zip(receivers, places, strict=True)
        ]
        outcome = Outcome.APPLIED
        with closing(in_turn(notifications)) as answers:
            for receiver, answer in zip(receivers, answers, strict=True):
                self._reporter.answered(receiver, answer)
                if answer.outdated:
                    self._epoch.check(answer.newest)
                    return Outcome.FAILED
                if 400 <= answer.status < 500:
                    return Outcome.REFUSED
                if not 200 <= answer.status < 300:
                    return Outcome.FAILED
                if answer.status == 202:
                    outcome = Outcome.OPEN
        return outcome

    def _retrigger(self, trigger: Trigger, outcome: Outcome) -> None:
        """Writes a trigger to RETRIGGER once, and once more when what was open then is done."""
        if not self._settings.retrigger or self._retriggered in (Outcome.APPLIED, outcome):
            return
        value = AGAIN if trigger.value.strip() == FORCE else trigger.value
        if self._force.chained:
            value = FORCE
        # before the write: if it fails, nobody knows whether etcd has it, and `force` goes out once. The next try
        # writes the trigger without it: one too many does no harm
        self._force.chained = False
        self._store.put(self._settings.retrigger, value)
        self._retriggered = outcome
        log.info("wrote %r to %s", value[:80], self._settings.retrigger)
