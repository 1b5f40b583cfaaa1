"""The steps before the handover: writes go on at the source while they are done."""

import logging
from collections.abc import Mapping
from typing import Any

from dictator.execute.commands import (
    GET_RECORD,
    INFO,
    NO_ONE,
    PARK,
    REWRITE,
    ROLE,
    UNPAUSE,
    check_replies,
    check_transaction,
    replicaof,
    transaction,
)
from dictator.execute.recording import write
from dictator.execute.rights import wait_until_close
from dictator.execute.run import Figures, Run, Stale
from dictator.execute.waits import (
    read_replication,
    read_replications,
    wait_for_offset,
    wait_in_sync,
)
from dictator.history import includes
from dictator.info import keys, replication
from dictator.instance import Instance
from dictator.lineage import encode
from dictator.link import NoAnswer
from dictator.observation import HALT, Replication
from dictator.steps import Halt, Intend, Lift, Park, Prepare, Reparent, WriteRecord
from safe_redis.errors import Unavailable

log = logging.getLogger(__name__)


def park(run: Run, step: Park) -> Figures:
    """Fences a master that is to become a slave, then looks at what it holds; gives up if that would be lost."""
    instance = step.instance
    commands = (*transaction(ROLE, PARK, REWRITE), INFO, ("INFO", "keyspace"), GET_RECORD)
    replies = run.runtime.link(instance).send(*commands)
    (role, _, rewrite), rest = check_transaction(instance, replies, 3, tolerate=(2,))
    run.undo.append((f"{instance} stays parked", lambda: _unpark(run, instance, role)))
    info, keyspace, text = check_replies(instance, rest)
    run.warn_unsaved(instance, rewrite)
    if role[0] != "master":
        raise Stale(f"{instance} is no master any more")
    held, count = replication(info), keys(keyspace)
    figures: Figures = {"keys": count - (text is not None), "offset": held.history.offset}
    if count and not includes(read_replication(run.runtime, step.source).history, held.history):
        if not step.forced:
            raise Stale(f"{instance} took writes of its own after it was observed")
        figures["discarded"] = count
    return figures


def _unpark(run: Run, instance: Instance, role: object) -> None:
    if read_replication(run.runtime, instance).parked:
        run.restore(instance, role)


def lift(run: Run, step: Lift) -> Figures:
    """Makes an instance a writable master, and records it right behind."""
    instance = step.instance
    commands = (*transaction(NO_ONE, REWRITE), UNPAUSE, INFO)
    results, rest = check_transaction(instance, run.runtime.link(instance).send(*commands), 2, tolerate=(1,))
    _, info = check_replies(instance, rest)
    run.warn_unsaved(instance, results[1])
    lifted = replication(info)
    if not lifted.master:
        raise Stale(f"{instance} is no master after REPLICAOF NO ONE")
    try:
        write(run, instance, step.record)
    except Unavailable as error:
        # evidence for the next run, which comes to the same without it: those that follow may be what it lacks
        run.warn(str(error))
    return {"offset": lifted.history.offset}


def write_record(run: Run, step: WriteRecord) -> Figures:
    """Writes the record to the master."""
    return {"offset": write(run, step.instance, step.record).offset}


def prepare(run: Run, step: Prepare) -> Figures:
    """Makes the target a direct slave of the source, and waits until it is in sync."""
    # a pause that a dead dictator has left behind would keep it from applying the stream
    _, info = check_replies(step.target, run.runtime.link(step.target).send(UNPAUSE, INFO))
    for error in run.attach({step.target: replication(info)}, step.source).values():
        raise error
    wait_in_sync(run.runtime, step.target, step.source, run.sync_timeout)
    return {}


def reparent(run: Run, step: Reparent) -> Figures:
    """Hangs slaves under the source, and waits for none of them; one that can't be reached is left to Follow."""
    outcomes = read_replications(run.runtime, step.slaves)
    current = {instance: rep for instance, rep in outcomes.items() if isinstance(rep, Replication)}
    failed = [error for error in outcomes.values() if isinstance(error, NoAnswer)]
    for error in (*failed, *run.attach(current, step.source).values()):
        log.warning("left a slave for later: %s", error)
    return {}


def intend(run: Run, step: Intend) -> Figures:
    """Records the handover at the source, and waits until the target has that record: so the stream flows, too."""
    source, target = step.source, step.target
    wait_until_close(run, source, target)
    written = write(run, source, step.record)
    limit = run.sync_timeout
    # a link that says "up" may be dead: only what arrives proves that it carries
    offset = wait_for_offset(run.runtime, target, written, limit, linked=True)
    (text,) = check_replies(target, run.runtime.link(target).send(GET_RECORD))
    if text != encode(step.record):
        raise Stale(f"{target} does not have the record of {source}: it was overwritten or deleted at once")
    return {"offset": offset, "epoch": step.record.epoch}


def halt(run: Run, step: Halt) -> Figures:
    """Makes the other slaves follow nobody, in memory only; one that can't be reached is left to the step Follow."""
    outcomes = run.runtime.send_all([(instance, (ROLE, replicaof(HALT))) for instance in step.slaves])
    halted: dict[Instance, Any] = {}
    run.undo.append((f"{', '.join(map(str, step.slaves))} are halted", lambda: _release(run, halted)))
    for instance, outcome in zip(step.slaves, outcomes, strict=True):
        try:
            if isinstance(outcome, NoAnswer):
                raise outcome
            halted[instance], _ = check_replies(instance, outcome)
        except NoAnswer as error:
            log.warning("left a slave for later: %s", error)
    masters = [str(instance) for instance, role in halted.items() if role[0] == "master"]
    if masters:
        raise Stale(f"{', '.join(masters)} has become a master since it was observed")
    run.halted = tuple(halted)
    return {}


def _release(run: Run, roles: Mapping[Instance, Any]) -> None:
    """Gives halted instances back the roles that they had."""
    failed = []
    for instance, role in roles.items():
        try:
            run.restore(instance, role)
        except NoAnswer as error:
            failed.append(str(error))
    if failed:
        raise NoAnswer("; ".join(failed))
