"""What the steps of one run share: the links, the receipt, and how to undo what was done."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dictator.execute.commands import (
    NO_ONE,
    REWRITE,
    UNPAUSE,
    check_replies,
    check_transaction,
    replicaof,
    transaction,
)
from dictator.instance import Instance
from dictator.lineage import Record
from dictator.link import NoAnswer, Runtime, ServerError
from dictator.observation import Replication
from dictator.receipt import Receipt
from dictator.settings import Settings
from safe_redis.early import Hint
from safe_redis.errors import Refused, TopologyError

log = logging.getLogger(__name__)

Figures = dict[str, Any]


class Stale(Exception):
    """What was observed no longer holds; nothing is lost, and a new plan is needed."""


@dataclass
class Run:
    """One run of one plan. Until the target is promoted, every change at the source has an undo."""

    runtime: Runtime
    settings: Settings
    receipt: Receipt
    # tells whoever wants to know how far a handover is; never raises
    tell: Callable[[Hint], None]
    # what the promoted master could not be given yet
    unrecorded: Record | None = None
    undo: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    # those that wait to be moved under the promoted master
    halted: tuple[Instance, ...] = ()
    # those whose role as a slave this run has put on their disk
    saved_slaves: set[Instance] = field(default_factory=set)

    @property
    def sync_timeout(self) -> float:
        """SYNC_TIMEOUT, or what is left of APPLY_TIMEOUT if that is less; in seconds."""
        left = max(0.0, self.runtime.deadline - self.runtime.now())
        return min(self.settings.sync_timeout, round(left, 1))

    def roll_back(self) -> str:
        """Undoes what was done, in reverse; returns what could not be undone, in words."""
        left = []
        while self.undo:
            what, back = self.undo.pop()
            try:
                back()
            except TopologyError as error:
                log.error("failed to roll back: %s: %s", what, error)  # noqa: TRY400 - an instance is down, no bug
                left.append(f"{what} ({error})")
        return "; ".join(left)

    def attach(self, slaves: Mapping[Instance, Replication], master: Instance) -> dict[Instance, NoAnswer]:
        """Makes slaves, given as they are now, follow `master`; returns those that could not be told so.

        A master is only made a slave by Park, which looks at what would be lost. Raises Stale for one.
        """
        for instance, current in slaves.items():
            if current.master:
                raise Stale(f"{instance} has become a master since it was observed")
        return self.move([instance for instance, current in slaves.items() if not current.follows(master)], master)

    def move(self, instances: Sequence[Instance], master: Instance) -> dict[Instance, NoAnswer]:
        """Makes instances that are known not to be masters follow `master`, on disk as well; returns what failed."""
        # a master that was parked by a dictator that died may still be paused, and would not apply the stream
        commands = (*transaction(replicaof(master.address), REWRITE), UNPAUSE)
        replies = self.runtime.send_all([(instance, commands) for instance in instances])
        failed: dict[Instance, NoAnswer] = {}
        for instance, reply in zip(instances, replies, strict=True):
            try:
                if isinstance(reply, NoAnswer):
                    raise reply
                results, rest = check_transaction(instance, reply, 2, tolerate=(1,))
                check_replies(instance, rest)
                self.note_slave(instance, results[1])
            except NoAnswer as error:
                failed[instance] = error
        return failed

    def restore(self, instance: Instance, role: Any) -> None:
        """Gives an instance back the role that it had, as ROLE gave it: a master's, or a slave's of an address."""
        back = NO_ONE if role[0] == "master" else replicaof((str(role[1]), int(role[2])))
        replies = self.runtime.link(instance).send(*transaction(back, REWRITE), UNPAUSE)
        _, rest = check_transaction(instance, replies, 2, tolerate=(1,))
        check_replies(instance, rest)

    def saved(self, instance: Instance, rewrite: Any, *, forced: bool) -> None:
        """Refuses to go on where CONFIG REWRITE failed: after a restart, the instance would not be what it is now."""
        if isinstance(rewrite, ServerError) and not forced:
            raise Refused(
                f"{instance} can't save its role (CONFIG REWRITE: {rewrite.text}): after a restart it could be a "
                "second master. Give it a config file that it may write, or repeat with force=1 "
                "(apply-topology.sh --force)"
            )
        self.warn_unsaved(instance, rewrite)

    def warn_unsaved(self, instance: Instance, rewrite: Any) -> None:
        """Puts a failed CONFIG REWRITE into the receipt and the log."""
        if isinstance(rewrite, ServerError):
            self.warn(f"{instance}: CONFIG REWRITE: {rewrite.text}")

    def note_slave(self, instance: Instance, rewrite: Any) -> None:
        """Takes note of what CONFIG REWRITE answered where an instance was made a slave."""
        self.warn_unsaved(instance, rewrite)
        if not isinstance(rewrite, ServerError):
            self.saved_slaves.add(instance)

    def warn(self, text: str) -> None:
        """Puts a warning into the receipt and the log, once."""
        if text not in self.receipt.warnings:
            log.warning("%s", text)
            self.receipt.warnings.append(text)
