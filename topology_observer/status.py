"""Reports what came of each run: writes it to etcd, where the operator's scripts wait for it.

The report is advisory. If it can't be written, the run counts all the same.
"""

import logging
from datetime import UTC, datetime

import msgspec

from safe_redis.errors import StoreError
from safe_redis.etcd import Node, Store
from topology_observer import metrics
from topology_observer.notify import Answer
from topology_observer.settings import Receiver
from topology_observer.watch import Trigger

log = logging.getLogger(__name__)


class ReceiverStatus(msgspec.Struct, frozen=True):
    """What one receiver answered: an HTTP status and a line of text."""

    url: str
    status: int
    line: str


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `trigger` and `document` are etcd's indexes of what it worked on; `at` is UTC, ISO 8601.

    `state` is an Outcome's name in lower case; `line` says in one line how the run ended.
    """

    trigger: int
    value: str
    document: int
    state: str
    at: str
    line: str
    receivers: tuple[ReceiverStatus, ...] = ()


class Reporter:
    """Collects what happens in a run, and writes it when the run has ended. Used by one thread."""

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key
        self._trigger = Trigger("")
        self._document = 0
        self._line = ""
        self._receivers: list[ReceiverStatus] = []

    def begin(self, trigger: Trigger) -> None:
        """Starts a new run."""
        self._trigger, self._document, self._line, self._receivers = trigger, 0, "", []

    def read(self, document: Node) -> None:
        """Notes the document that the run works on."""
        self._document = document.index

    def answered(self, receiver: Receiver, answer: Answer) -> None:
        """Notes a receiver's answer. The last one that isn't a plain 200 becomes the run's line."""
        self._receivers.append(ReceiverStatus(str(receiver), answer.status, answer.line))
        if answer.status != 200 or not self._line:
            self._line = answer.line

    def failed(self, reason: str) -> None:
        """Notes what stopped the run."""
        self._line = reason

    def end(self, state: str) -> RunStatus:
        """Writes the run to etcd, and returns it."""
        status = RunStatus(
            trigger=self._trigger.index,
            value=self._trigger.value[:80],
            document=self._document,
            state=state,
            at=now(),
            line=self._line,
            receivers=tuple(self._receivers),
        )
        metrics.count_run(state)
        try:
            self._store.put(self._key, msgspec.json.encode(status).decode())
        except StoreError as error:
            log.warning("failed to report the run: %s", error)
        return status


def now() -> str:
    """The time in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
