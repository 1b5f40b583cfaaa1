"""The handover: between the pause and the promotion no write is acknowledged. Only this file holds the window's state.

Why the order is what it is: docs/algorithm.md. Until the target has been sent its promotion, the source can be given
back its role. From then on it stays fenced until the target has been asked what it is.
"""

import logging
from collections.abc import Callable, Sequence
from typing import NoReturn

from dictator.execute.commands import (
    DISCONNECT,
    GET_RECORD,
    INFO,
    NO_ONE,
    PARK,
    REWRITE,
    ROLE,
    UNPAUSE,
    CommandFailed,
    check_replies,
    check_transaction,
    replicaof,
    set_record,
    transaction,
)
from dictator.execute.run import Figures, Run, Stale
from dictator.execute.waits import Offset, poll, read_replication, read_replications, wait_for_offset
from dictator.info import replication
from dictator.instance import Instance
from dictator.lineage import KEY, encode
from dictator.link import NoAnswer, ServerError
from dictator.observation import HALT, Replication
from dictator.steps import Drain, Fence, HandOver, Pause, Promote
from safe_redis.early import Hint
from safe_redis.errors import Interrupted, NotCaughtUp

log = logging.getLogger(__name__)


class Window:
    """One handover. `_wanted` is what the target must have applied; times are those of runtime.now()."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._wanted = Offset("", 0)
        self._paused_at = 0.0
        self._fenced_at: float | None = None
        self._promoted_at = 0.0

    def pause(self, run: Run, step: Pause) -> Figures:
        """Holds writes back at the source, and samples its offset."""
        source = step.source
        run.undo.append((f"{source} is paused", lambda: self._unpause(source)))
        self._paused_at = run.runtime.now()
        ms = int(run.settings.pause_timeout * 1000)
        replies = run.runtime.link(source).send(("CLIENT", "PAUSE", ms, "WRITE"), INFO)
        rep = replication(check_replies(source, replies)[1])
        if not rep.master:
            raise Stale(f"{source} is no master any more: {rep}")
        return self._sample(rep)

    def _unpause(self, source: Instance) -> None:
        check_replies(source, self._run.runtime.link(source).send(UNPAUSE))

    def _sample(self, rep: Replication) -> Figures:
        self._wanted = Offset(rep.history.replid, rep.history.offset)
        return {"offset": rep.history.offset}

    def drain(self, run: Run, step: Drain) -> Figures:
        """Waits until the target has applied what the source held when it was last sampled."""
        # a fenced 6.2 has dropped its slaves, so that a link can only be asked for before; id and offset are the proof
        limit, linked = run.settings.pause_timeout / 2, self._fenced_at is None
        return {"offset": wait_for_offset(run.runtime, step.target, self._wanted, limit, linked=linked, in_window=True)}

    def fence(self, run: Run, step: Fence) -> Figures:
        """Fences the source, on disk as well, if its record still is the intent of this run."""
        source = step.source
        if run.runtime.now() - self._paused_at > run.settings.pause_timeout:
            # writes go on by now: fencing would refuse them for as long as the target needs to catch up
            raise Stale(f"the pause of {source} has run out while this process stood still")
        undo = f"{source} stays fenced"
        # a lost answer leaves open what it was; the plan says that it was a master
        run.undo.append((undo, lambda: run.restore(source, ("master",))))
        replies = run.runtime.link(source).send(*transaction(ROLE, GET_RECORD, PARK, REWRITE), INFO)
        (role, text, _, rewrite), rest = check_transaction(source, replies, 4, tolerate=(3,))
        run.undo[-1] = (undo, lambda: run.restore(source, role))
        self._fenced_at = run.runtime.now()
        rep = replication(check_replies(source, rest)[0])
        if role[0] != "master" or not rep.parked or rep.history.replid != self._wanted.replid:
            raise Stale(f"{source} was changed by somebody else: it was {role[0]} when it was fenced")
        if text != encode(step.record):
            raise Stale(f"{source} does not hold the intent of this run any more at {KEY}")
        run.saved(source, rewrite, forced=step.forced)
        return self._sample(rep)

    def promote(self, run: Run, step: Promote) -> Figures:
        """Makes the target the master, on disk as well, and checks that its history begins with all of the source's."""
        source, target = step.source, step.target
        self._check_fence(source)
        rep = self._send_promotion(step)
        if not self._continues(rep):
            self._demote(target, source, rep)
        run.undo.clear()
        self._promoted_at = run.runtime.now()
        run.receipt.window_ms = round((self._promoted_at - self._paused_at) * 1000, 3)
        return {"offset": rep.history.offset, "epoch": step.record.epoch}

    def _send_promotion(self, step: Promote) -> Replication:
        """The target's replication section after its promotion. Whatever is unclear leaves the source fenced."""
        run, target = self._run, step.target
        try:
            commands = (*transaction(NO_ONE, REWRITE), set_record(step.record), INFO)
            # the role is on disk before a client can write: what took writes as a master is one again after a restart
            (_, rewrite), (recorded, info) = check_transaction(
                target, run.runtime.link(target).send(*commands), 2, tolerate=(1,)
            )
            rep = replication(check_replies(target, (info,))[0])
        except CommandFailed as error:
            return self._ask_target(step, error)
        except NoAnswer as error:
            self._leave_fenced(step, error)
        run.warn_unsaved(target, rewrite)
        if isinstance(recorded, ServerError):
            # a master with a min-replicas-to-write takes no write before its slaves are there
            run.unrecorded = step.record
        return rep if rep.master else self._ask_target(step, NoAnswer(f"{target} is no master after its promotion"))

    def _ask_target(self, step: Promote, error: NoAnswer) -> Replication:
        """What the target is after a promotion that was answered with an error; raises that where it is no master."""

        def ask() -> Replication | None:
            try:
                return read_replication(self._run.runtime, step.target)
            except NoAnswer:
                return None

        rep = poll(self._run.runtime, self._run.settings.reply_timeout, ask, in_window=True)
        if rep is None:
            self._leave_fenced(step, error)
        if not rep.master:
            raise error
        return rep

    def _leave_fenced(self, step: Promote, error: NoAnswer) -> NoReturn:
        self._run.undo.clear()
        raise Interrupted(
            f"{error}; it may be the master now, so {step.source} stays fenced, with all its data, until it is known"
        ) from None

    def _check_fence(self, source: Instance) -> None:
        """The fence does not expire, but while this process stood still, somebody else may have lifted it."""
        began = self._promoted_at or self._fenced_at or 0.0
        if self._run.runtime.now() - began > self._run.settings.pause_timeout:
            rep = read_replication(self._run.runtime, source)
            if not rep.parked or Offset(rep.history.replid, rep.history.offset) != self._wanted:
                self._run.undo.clear()
                raise Stale(f"{source} was changed by somebody else while this process stood still")

    def _continues(self, rep: Replication) -> bool:
        """Whether a promoted target's history begins with all of the source's."""
        history = rep.history
        return rep.master and history.replid2 == self._wanted.replid and history.fork >= self._wanted.offset

    def _demote(self, target: Instance, source: Instance, rep: Replication) -> NoReturn:
        """Takes a promotion back that does not continue the source's history, unless it has taken writes."""
        _, info = check_replies(target, self._run.runtime.link(target).send(PARK, INFO))
        history = replication(info).history
        if not history.unwritten:
            log.error("left %s parked: it was promoted too early and may have taken writes", target)
        else:
            replies = self._run.runtime.link(target).send(*transaction(replicaof(source.address), REWRITE))
            check_transaction(target, replies, 2, tolerate=(1,))
        raise NotCaughtUp(
            f"{target} was promoted at offset {rep.history.fork} of {rep.history.replid2[:8]}, "
            f"{source} is fenced at {self._wanted.offset} of {self._wanted.replid[:8]}"
        )

    def hand_over(self, run: Run, step: HandOver) -> Figures:
        """Makes the source, and the slaves that were halted, slaves of the target. From here on only forward."""
        source = step.source
        try:
            self._check_fence(source)
            # side by side: clients wait for the source, which must not wait for one of the others that hangs
            lanes: Sequence[Callable[[], NoAnswer | None]] = (
                lambda: self._release(source, step.target),
                lambda: self._move_halted(step.target),
            )
            late, _ = run.runtime.map_parallel(lambda lane: lane(), lanes)
            if late:
                raise late
            if run.settings.disconnect_clients:
                check_replies(source, run.runtime.link(source).send(DISCONNECT))
        except NoAnswer as error:
            log.warning("left the old master for later: %s", error)
            return {"late": str(source)}
        return {}

    def _release(self, source: Instance, master: Instance) -> NoAnswer | None:
        """Ends the source's pause and makes it a slave; what has failed.

        The pause first, and by itself: clients that wait must not wait for the disk too. The fence still refuses them.
        Then role and disk in one transaction: a restart in between would leave it parked with the new master's record,
        which a later run could not tell from an instance that took writes of its own.
        """
        try:
            self._unpause(source)
        except NoAnswer as error:
            return error
        # DNS need not wait for the slaves. But for that answer: another dictator would have ended this connection
        self._run.tell(Hint.MASTER)
        return self._run.move((source,), master).get(source)

    def _move_halted(self, master: Instance) -> None:
        """Moves those that nobody has made anything else meanwhile; the others are left to Follow, which looks."""
        outcomes = read_replications(self._run.runtime, self._run.halted)
        halted = [at for at, rep in outcomes.items() if isinstance(rep, Replication) and rep.following == HALT]
        self._run.move(halted, master)
