"""What the executor waits for: every wait has a deadline, and says what it waited for and how far it came."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dictator.execute.commands import INFO, PERSISTENCE, CommandFailed, check_replies
from dictator.info import persistence, replication
from dictator.instance import Instance
from dictator.link import Command, NoAnswer, Replies, Runtime
from dictator.observation import Replication
from safe_redis.errors import NotCaughtUp

T = TypeVar("T")
# between two looks at a condition, in seconds: the first come close together, since most waits are short
FIRST_INTERVAL = 0.0002
LAST_INTERVAL = 0.004


@dataclass(frozen=True, slots=True)
class Offset:
    """A place in a replication history: what the target must have applied."""

    replid: str
    offset: int


def read_replication(runtime: Runtime, instance: Instance) -> Replication:
    """The instance's replication section, now."""
    (fields,) = check_replies(instance, runtime.link(instance).send(INFO))
    return replication(fields)


def read_replications(runtime: Runtime, instances: Sequence[Instance]) -> dict[Instance, Replication | NoAnswer]:
    """The replication sections of several instances, all asked at once; NoAnswer of those that can't be asked."""
    outcomes = runtime.send_all([(instance, (INFO,)) for instance in instances])
    return {instance: _replication(instance, reply) for instance, reply in zip(instances, outcomes, strict=True)}


def ask_all(runtime: Runtime, command: Command, *instances: Instance) -> list[Any]:
    """The reply of each instance to a command that all are sent at once, and must answer. Raises NoAnswer."""
    replies = []
    for outcome in runtime.send_all([(instance, (command,)) for instance in instances]):
        if isinstance(outcome, NoAnswer):
            raise outcome
        replies.append(outcome[0])
    return replies


def read_all(runtime: Runtime, *instances: Instance) -> list[Replication]:
    """The replication sections of instances that all must answer, asked at once. Raises NoAnswer."""
    sections = zip(instances, ask_all(runtime, INFO, *instances), strict=True)
    return [replication(check_replies(instance, (section,))[0]) for instance, section in sections]


def _replication(instance: Instance, reply: Replies | NoAnswer) -> Replication | NoAnswer:
    if isinstance(reply, NoAnswer):
        return reply
    try:
        return replication(check_replies(instance, reply)[0])
    except CommandFailed as error:
        return error


def poll(runtime: Runtime, seconds: float, probe: Callable[[], T | None], *, in_window: bool = False) -> T | None:
    """What `probe` returns, once it returns something; None after `seconds`. It is called at least once.

    The wait ends with the whole run's time, but for one in the window: the pause has a deadline of its own.
    """
    deadline = runtime.now() + seconds
    if not in_window:
        deadline = min(deadline, runtime.deadline)
    pause = FIRST_INTERVAL
    while True:
        started = runtime.now()
        result = probe()
        if result is not None:
            return result
        now = runtime.now()
        if now >= deadline:
            return None
        # asking many instances takes them as long as it takes us: no more than half of the time
        runtime.sleep(max(pause, now - started))
        pause = min(pause * 1.5, LAST_INTERVAL)


def wait_in_sync(runtime: Runtime, target: Instance, source: Instance, seconds: float) -> None:
    """Waits until the target is a slave of the source with its link up and the source's history."""
    state = ""

    def in_sync() -> bool | None:
        nonlocal state
        here, there = read_all(runtime, target, source)
        link = "up" if here.link_up else "syncing" if here.syncing else "down"
        state = f"link {link}, history {here.history.replid[:8]} of {there.history.replid[:8]}"
        return here.linked_to(source, there.history.replid) or None

    if poll(runtime, seconds, in_sync) is None:
        raise NotCaughtUp(f"{target} is not in sync with {source}: {state}, gave up after {seconds:g} s")


def wait_for_offset(
    runtime: Runtime, target: Instance, wanted: Offset, seconds: float, *, linked: bool, in_window: bool = False
) -> int:
    """Waits until the target has applied `wanted`, and returns its offset. `linked`: with its link up, too.

    It must not be rewriting its append-only file either: it may have got a full copy again since that was checked.
    """
    last, safe = 0, True

    def offset_reached() -> int | None:
        nonlocal last, safe
        info, saving = check_replies(target, runtime.link(target).send(INFO, PERSISTENCE))
        rep, safe = replication(info), persistence(saving).safe
        last = rep.history.offset
        same = not rep.master and rep.history.replid == wanted.replid and (rep.link_up or not linked)
        return last if safe and same and last >= wanted.offset else None

    reached = poll(runtime, seconds, offset_reached, in_window=in_window)
    if reached is None:
        why = "" if safe else ", and for its append-only file to be complete"
        raise NotCaughtUp(f"{target} at offset {last}, waiting for {wanted.offset}{why}, gave up after {seconds:g} s")
    return reached
