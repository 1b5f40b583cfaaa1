"""A `force` that is yet to be passed on: which document it was given for, and when it is spent.

It is spent as soon as a PUT with it may have reached a receiver: an answer, or a connection that
broke after sending. It isn't where no connection came about, and it outlives being overtaken by
another trigger. It holds for the document that was there when it was given, and for no other.
"""

import logging
from dataclasses import dataclass

from safe_redis.errors import StoreError
from safe_redis.etcd import Node, Reading

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Force:
    """etcd's index of the trigger, and the document that it holds for, as soon as that is known."""

    at: int
    document: Node | None = None
    epoch: str = ""


class PendingForce:
    """At most one. Used by one thread."""

    def __init__(self) -> None:
        self._force: Force | None = None
        # whether it is yet to be passed on to RETRIGGER, which happens after it is spent
        self.chained = False

    def give(self, at: int) -> None:
        """A trigger at etcd's index `at` says to force."""
        self._force, self.chained = Force(at), True

    def drop(self, reason: str) -> None:
        """Forgets it, if there is one."""
        if self._force is not None:
            log.warning("dropped the force of index %d: %s", self._force.at, reason)
        self._force, self.chained = None, False

    def applies(self, document: Node, reading: Reading, epoch: str) -> bool:
        """Whether to force this document; a force for another one is dropped.

        StoreError where etcd's index is before the force: etcd began anew, or this member lags behind.
        """
        force = self._force
        if force is None:
            return False
        if reading.index < force.at:
            raise StoreError(f"etcd is at index {reading.index}, before the force of index {force.at}")
        if force.document is None:
            if document.index > force.at:
                self.drop("the topology is newer")
                return False
            self._force = Force(force.at, document, epoch)
        elif (document.index, document.value, epoch) != (force.document.index, force.document.value, force.epoch):
            self.drop("the topology is another one by now")
            return False
        return True

    def spend(self) -> Force | None:
        """Takes it, to be passed on."""
        force, self._force = self._force, None
        return force

    def restore(self, force: Force | None) -> None:
        """Puts back what was taken, since it reached nobody."""
        self._force = force
