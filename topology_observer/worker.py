"""Runs: reads the topology, notifies the receivers in order, and repeats what isn't done yet.

A `force` is passed on in one run. It is spent as soon as a PUT with it may have reached a
receiver: an answer, or a connection that broke after sending. It isn't where no connection came
about, and it outlives being overtaken by another trigger; but it never forces a topology that was
defined after it, which whoever gave it can't have meant.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import Future
from enum import Enum

from safe_redis.errors import TopologyError
from safe_redis.etcd import Node, Store
from safe_redis.srv import Endpoint
from topology_observer.notify import Notifier, NotSent
from topology_observer.pause import PauseKey
from topology_observer.settings import Receiver, Settings
from topology_observer.status import Reporter
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

    def __init__(self, store: Store, notifier: Notifier, settings: Settings, mailbox: Mailbox) -> None:
        self._store = store
        self._notifier = notifier
        self._settings = settings
        self._mailbox = mailbox
        self._reporter = Reporter(store, settings.status_key)
        self._pause = PauseKey(store, settings.paused_key)
        # etcd's index of a `force` that is yet to be passed on to the receivers
        self._forced_at: int | None = None
        # whether RETRIGGER is yet to be told of a `force`, and whether it knows of this trigger
        self._chain_force = False
        self._retriggered = False

    def work(self) -> None:
        """Never returns."""
        trigger = self._take(None)
        pauses = self._pauses()
        while True:
            outcome = self._run(trigger) if trigger else Outcome.APPLIED
            newer = self._take(None if outcome.settled else next(pauses))
            if newer:
                trigger, pauses = newer, self._pauses()

    def _take(self, timeout: float | None) -> Trigger | None:
        trigger = self._mailbox.take(timeout)
        if trigger:
            self._retriggered = False
        if trigger and trigger.forced_at is not None:
            self._forced_at, self._chain_force = trigger.forced_at, True
        return trigger

    def _pauses(self) -> Iterator[float]:
        pause = self._settings.retry_first
        while True:
            yield pause
            pause = min(2 * pause, self._settings.retry_max)

    def _run(self, trigger: Trigger) -> Outcome:
        """One run and its report."""
        self._reporter.begin(trigger)
        outcome = self._attempt(trigger)
        self._reporter.end(outcome.name.lower())
        return outcome

    def _attempt(self, trigger: Trigger) -> Outcome:
        """From reading the topology to the retrigger. Logs what goes wrong."""
        try:
            # looked up while etcd is asked for the topology, and the later ones while the first receiver works
            places = self._notifier.locate(self._settings.receivers)
            pause = self._pause.look_up()
            document = self._store.get(self._settings.document)
            if paused := pause.result():
                return self._paused(str(paused))
            if document is None:
                log.warning("found no topology at %s, waits for the next trigger", self._settings.document)
                self._reporter.failed(f"no topology is defined at {self._settings.document}")
                return Outcome.UNDEFINED
            self._reporter.read(document)
            outcome = self._notify_all(document, places)
            if outcome in (Outcome.APPLIED, Outcome.OPEN):
                self._retrigger(trigger, outcome)
        except TopologyError as error:
            log.warning("failed: %s: %s", type(error).__name__, error)
            self._reporter.failed(f"{type(error).__name__}: {error}")
            return Outcome.FAILED
        except Exception as error:
            log.exception("failed in a run")
            self._reporter.failed(f"{type(error).__name__}: see the observer's log")
            return Outcome.FAILED
        log.info("ended the run for %r: %s", trigger.value[:80], outcome.value)
        return outcome

    def _paused(self, line: str) -> Outcome:
        """Drops a `force`, too: it must not take effect by surprise when the pause ends."""
        log.warning("applied nothing: %s", line)
        self._reporter.failed(line)
        self._forced_at, self._chain_force = None, False
        return Outcome.PAUSED

    def _notify_all(self, document: Node, places: list[Future[Endpoint]]) -> Outcome:
        if self._forced_at is not None and document.index > self._forced_at:
            log.warning("dropped the force of index %d: the topology is newer", self._forced_at)
            self._forced_at, self._chain_force = None, False
        force = self._forced_at is not None
        outcome = Outcome.APPLIED
        for receiver, place in zip(self._settings.receivers, places, strict=True):
            status = self._notify(receiver, place.result(), document, force=force)
            if 400 <= status < 500:
                return Outcome.REFUSED
            if not 200 <= status < 300:
                return Outcome.FAILED
            if status == 202:
                outcome = Outcome.OPEN
        return outcome

    def _notify(self, receiver: Receiver, at: Endpoint, document: Node, *, force: bool) -> int:
        forced_at, self._forced_at = self._forced_at, None
        try:
            answer = self._notifier.put(receiver, at, document.value.encode(), force=force)
        except NotSent:
            self._forced_at = forced_at
            raise
        self._reporter.answered(receiver, answer)
        return answer.status

    def _retrigger(self, trigger: Trigger, outcome: Outcome) -> None:
        """Tells RETRIGGER of a trigger once, and once more when what was open then is done."""
        if not self._settings.retrigger or (outcome is Outcome.OPEN and self._retriggered):
            return
        value = AGAIN if trigger.value.strip() == FORCE else trigger.value
        if self._chain_force:
            value = FORCE
        # before the write: if it fails, nobody knows whether etcd has it, and `force` goes out once
        self._retriggered, self._chain_force = True, False
        self._store.put(self._settings.retrigger, value)
        log.info("wrote %r to %s", value[:80], self._settings.retrigger)
