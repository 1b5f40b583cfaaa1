"""Carries a plan out: the only file that changes redis.

Until the target is promoted, every change at the source has an undo, which runs in reverse if a step fails. Effects
are read from the instances, never taken from an `OK`. When a plan turns out not to fit any more, run() says so, and
whoever called it observes and plans anew.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dictator.history import includes
from dictator.link import NoAnswer, Runtime, ServerError
from dictator.observation import FENCE, HALT, Instance, Replication, keys, replication
from dictator.plan import LEFTOVER, Plan
from dictator.receipt import Receipt
from dictator.settings import Settings
from dictator.steps import (
    Drain,
    Fence,
    Follow,
    HandOver,
    Lift,
    Park,
    Pause,
    Prepare,
    Probe,
    Promote,
    Reparent,
    Replan,
    Step,
    Tidy,
    told,
)
from dictator.waits import INFO, Offset, applied, ask, done, in_sync, until
from safe_redis.errors import Interrupted, NotCaughtUp, TopologyError

log = logging.getLogger(__name__)

Figures = dict[str, Any]
NO_ONE = ("REPLICAOF", "NO", "ONE")
PARK = ("REPLICAOF", *FENCE)
REWRITE = ("CONFIG", "REWRITE")
UNPAUSE = ("CLIENT", "UNPAUSE")
# writes are paused only when the target is less than this behind, in bytes: a few milliseconds of a network's time
MAX_LAG = 64 << 10
# clients wait while these are done, and shall not wait for a log file as well
WINDOW_STEPS = (Pause, Drain, Fence, Promote)
PROBE_CHANNEL = "dictator:probe"


class Stale(Exception):
    """What was observed no longer holds; nothing is lost, and a new plan is needed."""


@dataclass
class Executor:
    """One run of one plan. `receipt` is filled step by step, also where it ends in an error."""

    runtime: Runtime
    settings: Settings
    receipt: Receipt
    wanted: Offset = field(default_factory=lambda: Offset("", 0))
    since: float = 0.0
    fenced: bool = False
    fenced_at: float = 0.0
    undo: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    untold: list[tuple[Step, float, Figures]] = field(default_factory=list)

    def run(self, plan: Plan) -> bool:
        """Whether the plan is done; False when it is time to observe and plan anew. Raises after rolling back."""
        try:
            for step in plan.steps:
                if isinstance(step, Replan):
                    return False
                self._timed(step)
        except Stale as reason:
            log.warning("abandoned the plan: %s", reason)
            self._roll_back()
            return False
        except TopologyError as error:
            left = self._roll_back()
            if left:
                raise Interrupted(f"{error}; could not be rolled back: {left}") from error
            raise
        except Exception:  # a fault of ours must not leave the source fenced either
            self._roll_back()
            raise
        finally:
            self._tell()
        return True

    def _timed(self, step: Step) -> None:
        started = time.perf_counter()
        figures = self._do(step)
        self.untold.append((step, (time.perf_counter() - started) * 1000, figures))
        if not isinstance(step, WINDOW_STEPS):
            self._tell()

    def _tell(self) -> None:
        """Puts the steps that were done since the last time into the receipt and the log."""
        for step, ms, figures in self.untold:
            self.receipt.changed = True
            self.receipt.add(type(step).__name__.lower(), told(step), ms, figures)
            log.info("%s: %.2f ms%s", told(step), ms, "".join(f", {name} {value}" for name, value in figures.items()))
        self.untold.clear()

    def _do(self, step: Step) -> Figures:  # noqa: C901, PLR0911, PLR0912 - one line for each kind of step
        match step:
            case Park(instance, source, forced):
                return self._park(instance, source, forced=forced)
            case Lift(instance):
                return self._lift(instance)
            case Prepare(target, source):
                return self._prepare(target, source)
            case Reparent(slaves, target, source):
                return self._reparent(slaves, target, source)
            case Probe(target, source):
                return self._probe(target, source)
            case Pause(source):
                return self._pause(source)
            case Drain(target):
                return self._drain(target)
            case Fence(source):
                return self._fence(source)
            case Promote(target, source):
                return self._promote(target, source)
            case HandOver(source, target):
                return self._hand_over(source, target)
            case Follow(slaves, master):
                return self._follow(slaves, master)
            case Tidy(instances):
                return self._tidy(instances)
            case Replan():
                raise AssertionError("run() ends at a Replan")

    # Before the handover

    def _park(self, instance: Instance, source: Instance, *, forced: bool) -> Figures:
        self.undo.append((f"{instance} stays parked", lambda: self._lift_if_parked(instance)))
        _, info, keyspace = done(instance, self.runtime.link(instance).send(PARK, INFO, ("INFO", "keyspace")))
        held, count = replication(info), keys(keyspace)
        figures: Figures = {"keys": count, "offset": held.history.offset}
        if count and not includes(ask(self.runtime, source).history, held.history):
            if not forced:
                raise Stale(f"{instance} took writes of its own after it was observed")
            figures["discarded"] = count
        return figures

    def _lift_if_parked(self, instance: Instance) -> None:
        if ask(self.runtime, instance).parked:
            done(instance, self.runtime.link(instance).send(NO_ONE))

    def _lift(self, instance: Instance) -> Figures:
        *_, rewrite, info = done(
            instance, self.runtime.link(instance).send(NO_ONE, UNPAUSE, REWRITE, INFO), tolerate=(2,)
        )
        self._warn(instance, rewrite)
        found = replication(info)
        if not found.master:
            raise Stale(f"{instance} is no master after REPLICAOF NO ONE")
        return {"offset": found.history.offset}

    def _prepare(self, target: Instance, source: Instance) -> Figures:
        # a pause that a dead dictator has left behind would keep it from applying the stream
        _, info = done(target, self.runtime.link(target).send(UNPAUSE, INFO))
        self._attach(target, replication(info), source)
        in_sync(self.runtime, target, source, self.settings.sync_timeout)
        return {}

    def _reparent(self, slaves: tuple[Instance, ...], target: Instance, source: Instance) -> Figures:
        def hang(instance: Instance) -> None:
            try:
                found = ask(self.runtime, instance)
                if found.follows(source):
                    self.undo.append((f"{instance} follows {target}", lambda: self._reattach(instance, target, source)))
                self._wait_until_passed(instance, found, target)
                self._attach(instance, found, target)
            except NoAnswer as error:
                # the step Follow tries again, and names it in the answer
                log.warning("left a slave for later: %s", error)

        self.runtime.map_parallel(hang, slaves)
        late = self._until_linked(slaves, target, syncing=True)
        return {"late": ", ".join(late)} if late else {}

    def _wait_until_passed(self, instance: Instance, found: Replication, target: Instance) -> None:
        """Halts a slave that is ahead of its new master, until that has caught up: else it would get a full resync."""
        if found.master or found.follows(target):
            return
        if not found.parked:
            _, info = done(instance, self.runtime.link(instance).send(("REPLICAOF", *HALT), INFO))
            found = replication(info)
        have, limit = found.history, self.settings.sync_timeout

        def passed() -> bool | None:
            reached = ask(self.runtime, target).history
            return reached.replid != have.replid or reached.offset >= have.offset or None

        if until(self.runtime, limit, passed) is None:
            raise NotCaughtUp(f"{target} is behind {instance} at offset {have.offset}, gave up after {limit:g} s")

    def _reattach(self, instance: Instance, target: Instance, source: Instance) -> None:
        found = ask(self.runtime, instance)
        if found.follows(target) or found.following == HALT:
            self._attach(instance, found, source)

    def _attach(self, instance: Instance, found: Replication, master: Instance) -> None:
        """Makes a slave follow `master`. A master is only made a slave by Park, which looks at what would be lost."""
        if found.follows(master):
            return
        if found.master:
            raise Stale(f"{instance} has become a master since it was observed")
        # a master that was parked by a dictator that died may still be paused, and would not apply the stream
        _, _, rewrite = done(
            instance, self.runtime.link(instance).send(("REPLICAOF", *master.address), UNPAUSE, REWRITE), tolerate=(2,)
        )
        self._warn(instance, rewrite)

    def _probe(self, target: Instance, source: Instance) -> Figures:
        behind = [0]

        def close() -> bool | None:
            have = ask(self.runtime, target).history.offset
            behind[0] = ask(self.runtime, source).history.offset - have
            return behind[0] < MAX_LAG or None

        limit = self.settings.sync_timeout
        if until(self.runtime, limit, close) is None:
            raise NotCaughtUp(
                f"{target} is {behind[0]} bytes behind {source}, waiting for less than {MAX_LAG}, "
                f"gave up after {limit:g} s"
            )
        # a link that says "up" may be dead: only what arrives proves that it carries
        # and a pause that a dead dictator has left behind would hold the probe back
        _, _, info = done(source, self.runtime.link(source).send(UNPAUSE, ("PUBLISH", PROBE_CHANNEL, "probe"), INFO))
        history = replication(info).history
        return {"offset": applied(self.runtime, target, Offset(history.replid, history.offset), limit, linked=True)}

    # The handover: between the pause and the promotion no write is acknowledged

    def _pause(self, source: Instance) -> Figures:
        self.undo.append((f"{source} is paused", lambda: self._unpause(source)))
        self.since = self.runtime.now()
        ms = int(self.settings.pause_timeout * 1000)
        _, info = done(source, self.runtime.link(source).send(("CLIENT", "PAUSE", ms, "WRITE"), INFO))
        return self._sample(source, replication(info), master=True)

    def _sample(self, source: Instance, found: Replication, *, master: bool) -> Figures:
        history = found.history
        as_intended = found.master if master else found.parked and history.replid == self.wanted.replid
        if not as_intended:
            raise Stale(f"{source} was changed by somebody else: {found}")
        self.wanted = Offset(history.replid, history.offset)
        return {"offset": history.offset}

    def _unpause(self, source: Instance) -> None:
        done(source, self.runtime.link(source).send(UNPAUSE))

    def _drain(self, target: Instance) -> Figures:
        # a fenced 6.2 has dropped its slaves, so that a link can only be asked for before; id and offset are the proof
        limit = self.settings.pause_timeout / 2
        return {"offset": applied(self.runtime, target, self.wanted, limit, linked=not self.fenced)}

    def _fence(self, source: Instance) -> Figures:
        if self.runtime.now() - self.since > self.settings.pause_timeout:
            # writes go on by now: fencing would refuse them for as long as the target needs to catch up
            raise Stale(f"the pause of {source} has run out while this process stood still")
        self.undo.append((f"{source} stays fenced", lambda: self._unfence(source)))
        # on disk before anybody is promoted: a source that restarts now must not come back writable
        _, rewrite, info = done(source, self.runtime.link(source).send(PARK, REWRITE, INFO), tolerate=(1,))
        self._warn(source, rewrite)
        self.fenced = True
        self.fenced_at = self.runtime.now()
        return self._sample(source, replication(info), master=False)

    def _unfence(self, source: Instance) -> None:
        done(source, self.runtime.link(source).send(NO_ONE, UNPAUSE, REWRITE), tolerate=(2,))

    def _promote(self, target: Instance, source: Instance) -> Figures:
        self._still_fenced(source)
        try:
            # the role is on disk before a client can write: what took writes as a master is one again after a restart
            _, rewrite, info = done(target, self.runtime.link(target).send(NO_ONE, REWRITE, INFO), tolerate=(1,))
            self._warn(target, rewrite)
            found = replication(info)
        except NoAnswer as error:
            found = self._promoted_or_not(target, source, error)
        if not self._continues(found):
            self._demote(target, source, found)
        self.undo.clear()
        self.fenced_at = self.runtime.now()
        self.receipt.window_ms = round((self.runtime.now() - self.since) * 1000, 3)
        return {"offset": found.history.offset}

    def _still_fenced(self, source: Instance) -> None:
        """The fence does not expire, but while this process stood still, somebody else may have lifted it."""
        if self.runtime.now() - self.fenced_at > self.settings.pause_timeout:
            found = ask(self.runtime, source)
            if not found.parked or Offset(found.history.replid, found.history.offset) != self.wanted:
                self.undo.clear()
                raise Stale(f"{source} was changed by somebody else while this process stood still")

    def _continues(self, found: Replication) -> bool:
        """Whether a promoted target's history begins with all of the source's."""
        history = found.history
        return found.master and history.replid2 == self.wanted.replid and history.fork >= self.wanted.offset

    def _promoted_or_not(self, target: Instance, source: Instance, error: NoAnswer) -> Replication:
        """The promotion's answer was lost. Until it is known, the source must stay fenced: both may not be writable."""

        def look() -> Replication | None:
            try:
                return ask(self.runtime, target)
            except NoAnswer:
                return None

        found = until(self.runtime, self.settings.reply_timeout, look)
        if found is None:
            self.undo.clear()
            raise Interrupted(
                f"{error}; it may be the master now, so {source} stays fenced, with all its data, until it is known"
            )
        if not found.master:
            raise error
        return found

    def _demote(self, target: Instance, source: Instance, found: Replication) -> None:
        """A promotion that does not continue the source's history is taken back, unless it has taken writes."""
        _, info = done(target, self.runtime.link(target).send(PARK, INFO))
        history = replication(info).history
        if not history.unwritten:
            log.error("left %s parked: it was promoted too early and may have taken writes", target)
        else:
            done(target, self.runtime.link(target).send(("REPLICAOF", *source.address), REWRITE), tolerate=(1,))
        raise NotCaughtUp(
            f"{target} was promoted at offset {found.history.fork} of {found.history.replid2[:8]}, "
            f"{source} is fenced at {self.wanted.offset} of {self.wanted.replid[:8]}"
        )

    # From here on, only forward: what fails is named in the receipt, and the next run does the rest

    def _hand_over(self, source: Instance, target: Instance) -> Figures:
        try:
            self._still_fenced(source)
            # first, and by itself: clients that wait shall not wait for the disk as well. The fence still refuses them
            done(source, self.runtime.link(source).send(UNPAUSE))
            _, rewrite = done(
                source, self.runtime.link(source).send(("REPLICAOF", *target.address), REWRITE), tolerate=(1,)
            )
            self._warn(source, rewrite)
        except NoAnswer as error:
            log.warning("left the old master for later: %s", error)
            return {"late": str(source)}
        return {}

    def _follow(self, slaves: tuple[Instance, ...], master: Instance) -> Figures:
        replid = ask(self.runtime, master).history.replid
        linked, not_yet = "", None

        def follow(instance: Instance) -> str | None:
            try:
                found = ask(self.runtime, instance)
                if found.linked_to(master, replid):
                    return linked
                self._attach(instance, found, master)
            except NoAnswer as error:
                return str(error)
            return not_yet

        told = dict(zip(slaves, self.runtime.map_parallel(follow, slaves), strict=True))
        late = self._until_linked(tuple(each for each in slaves if told[each] is not_yet), master, syncing=False)
        late += [text for text in told.values() if text]
        self.receipt.syncing = late
        return {"late": "; ".join(late)} if late else {}

    def _until_linked(self, slaves: tuple[Instance, ...], master: Instance, *, syncing: bool) -> list[str]:
        """Waits until all slaves have their link up with the master's history (or are `syncing`, where that is enough).

        Returns those that have not, each with its reason.
        """
        waiting: dict[Instance, str] = dict.fromkeys(slaves, "")

        def look(instance: Instance, replid: str) -> str | None:
            try:
                found = ask(self.runtime, instance)
            except NoAnswer as error:
                return str(error)
            if found.linked_to(master, replid) or (syncing and found.syncing and found.follows(master)):
                return None
            return f"{instance} is {'still syncing' if found.syncing else 'not linked'} to {master}"

        def everyone() -> bool | None:
            # anew each time: a master that never had a slave changes its replication id when the first one comes
            replid = ask(self.runtime, master).history.replid
            told = self.runtime.map_parallel(lambda each: look(each, replid), tuple(waiting))
            for instance, text in zip(tuple(waiting), told, strict=True):
                if text is None:
                    del waiting[instance]
                else:
                    waiting[instance] = text
            return True if not waiting else None

        until(self.runtime, self.settings.follow_timeout, everyone)
        return list(waiting.values())

    def _tidy(self, instances: tuple[Instance, ...]) -> Figures:
        return {str(instance): self._restore(instance) for instance in instances}

    def _restore(self, instance: Instance) -> str:
        link = self.runtime.link(instance)
        name = "min-replicas-to-write"
        try:
            (found,) = done(instance, link.send(("CONFIG", "GET", name)))
            value = int(found[1])
            _, rewrite = done(instance, link.send(("CONFIG", "SET", name, value - LEFTOVER), REWRITE), tolerate=(1,))
        except NoAnswer as error:
            self.receipt.warnings.append(str(error))
            return "no answer"
        self._warn(instance, rewrite)
        return f"{name} {value} set back to {value - LEFTOVER}"

    def _warn(self, instance: Instance, rewrite: Any) -> None:
        if isinstance(rewrite, ServerError):
            text = f"{instance}: CONFIG REWRITE: {rewrite.text}"
            if text not in self.receipt.warnings:
                log.warning("could not save the role: %s", text)
                self.receipt.warnings.append(text)

    def _roll_back(self) -> str:
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
