"""What an instance must allow and show before anything depends on it: rights, role on disk, durability, memory."""

from collections.abc import Sequence
from typing import Any

from dictator.execute.commands import (
    NO_ONE,
    PERSISTENCE,
    REWRITE,
    ROLE,
    UNPAUSE,
    check_replies,
    set_record_when_full,
)
from dictator.execute.run import Figures, Run, Stale
from dictator.execute.waits import ask_all, poll, read_all
from dictator.info import Persistence, memory, persistence
from dictator.instance import Instance
from dictator.lineage import KEY, Member, Record
from dictator.link import Command, NoAnswer, ServerError
from dictator.steps import CheckRights, Verify
from safe_redis.early import Hint
from safe_redis.errors import NotCaughtUp, Refused

_NOBODY = Record("", "", 0, "served", Member("", "", 0))
# Without the right to these, what follows a MULTI would be done at once, so that they are tried by themselves. A pause
# that was left behind is ended first: a write would not even be queued.
TRANSACTIONS: tuple[Command, ...] = (UNPAUSE, ("MULTI",), ("DISCARD",), ("MULTI",), ("EXEC",))
# queued and then discarded: the server checks the rights when it queues, and nothing of it is ever done
REHEARSAL: tuple[Command, ...] = (
    ("MULTI",),
    NO_ONE,
    REWRITE,
    ("ROLE",),
    ("CLIENT", "PAUSE", 1, "WRITE"),
    ("CONFIG", "SET", "min-replicas-to-write", 0),
    ("SET", KEY, ""),
    set_record_when_full(_NOBODY),
    ("DISCARD",),
)
MEMORY: Command = ("INFO", "memory")
# writes are paused only when the target is less than this behind, in bytes: a few milliseconds of a network's time
MAX_LAG = 64 << 10


def check_rights(run: Run, step: CheckRights) -> Figures:
    """Refuses where the dictator's user lacks the right to a command of the plan, before anything was changed."""
    lacking = _refusals(run, step.instances, TRANSACTIONS, "")
    # one that gave no answer is left to the step that needs it
    transacting = [instance for instance, names in lacking.items() if not names]
    lacking |= _refusals(run, transacting, REHEARSAL, "NOPERM")
    complaints = [f"{instance}: {', '.join(names)}" for instance, names in lacking.items() if names]
    if complaints:
        raise Refused(
            f"the dictator's user has no permissions to run commands of a switch: {'; '.join(complaints)}. "
            "The smallest rule that works is in docs/security.md"
        )
    return {}


def _refusals(
    run: Run, instances: Sequence[Instance], commands: tuple[Command, ...], code: str
) -> dict[Instance, list[str]]:
    """The names of the refused commands, for each instance that answers."""
    outcomes = run.runtime.send_all([(instance, commands) for instance in instances])
    return {
        instance: _refused(commands, outcome, code)
        for instance, outcome in zip(instances, outcomes, strict=True)
        if not isinstance(outcome, NoAnswer)
    }


def _refused(commands: Sequence[Command], replies: Sequence[Any], code: str) -> list[str]:
    """The names of the commands that were answered with an error that starts with `code`, each once."""
    refused = [
        command
        for command, reply in zip(commands, replies, strict=True)
        if isinstance(reply, ServerError) and reply.text.startswith(code)
    ]
    return list(dict.fromkeys(_name(command) for command in refused))


def _name(command: Command) -> str:
    return " ".join(map(str, command[:2] if command[0] in ("CONFIG", "CLIENT") else command[:1]))


def wait_until_close(run: Run, source: Instance, target: Instance) -> None:
    """Waits until the target is less than MAX_LAG behind, while the source goes on taking writes."""
    behind = 0

    def close() -> bool | None:
        nonlocal behind
        here, there = read_all(run.runtime, target, source)
        behind = there.history.offset - here.history.offset
        return behind < MAX_LAG or None

    limit = run.sync_timeout
    if poll(run.runtime, limit, close) is None:
        raise NotCaughtUp(
            f"{target} is {behind} bytes behind {source}, waiting for less than {MAX_LAG}, gave up after {limit:g} s"
        )


def verify(run: Run, step: Verify) -> Figures:
    """Makes sure that the target would keep what it is given, while writes still go on at the source."""
    # whoever publishes it gets ready meanwhile, and not in the window
    run.tell(Hint.TARGET)
    both = (step.source, step.target)
    for instance, rewrite in zip(both, ask_all(run.runtime, REWRITE, *both), strict=True):
        run.saved(instance, rewrite, forced=step.forced)
    # what is still on its way to the target takes memory, too
    wait_until_close(run, step.source, step.target)
    _check_memory(run, step)
    figures = _wait_until_durable(run, step.target)
    _check_others(run, step.others)
    return figures


def _check_others(run: Run, others: Sequence[Instance]) -> None:
    """Gives the plan up if one has become a master: it may have all that the source has, and a write of its own."""
    outcomes = run.runtime.send_all([(instance, (ROLE,)) for instance in others])
    for instance, outcome in zip(others, outcomes, strict=True):
        if not isinstance(outcome, NoAnswer) and check_replies(instance, outcome)[0][0] == "master":
            raise Stale(f"{instance} has become a master since it was observed")


def _check_memory(run: Run, step: Verify) -> None:
    both = (step.source, step.target)
    sections = zip(both, ask_all(run.runtime, MEMORY, *both), strict=True)
    source, target = (memory(check_replies(instance, (section,))[0]) for instance, section in sections)
    if not target.limit:
        return
    problem = ""
    if target.used > target.limit:
        problem = f"{step.target} holds {target.used} bytes, its maxmemory is {target.limit}: it would refuse writes"
    elif target.policy != source.policy:
        problem = (
            f"{step.target} has maxmemory {target.limit} with the policy {target.policy}, "
            f"{step.source} has maxmemory {source.limit} with {source.policy}: keys could be evicted"
        )
    if problem and not step.forced:
        raise Refused(f"{problem}. Set them alike, or repeat with force=1 (apply-topology.sh --force)")
    if problem:
        run.warn(problem)


def _wait_until_durable(run: Run, target: Instance) -> Figures:
    """Waits until the target's append-only file is complete: killed before, it would come back with an older one."""
    last = Persistence(aof=False, busy=False)

    def durable() -> Persistence | None:
        nonlocal last
        (fields,) = check_replies(target, run.runtime.link(target).send(PERSISTENCE))
        last = persistence(fields)
        return last if last.safe else None

    limit = run.sync_timeout
    result = poll(run.runtime, limit, durable)
    if result is None:
        why = last.failed or "its append-only file is still being rewritten (aof_rewrite_in_progress)"
        raise NotCaughtUp(f"{target} could lose what it has in a crash: {why}, gave up after {limit:g} s")
    if not result.aof:
        run.warn(f"{target} has no append-only file: a crash would cost what was written since its last snapshot")
        return {"aof": "off"}
    return {}
