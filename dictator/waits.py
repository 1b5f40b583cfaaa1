"""What the executor waits for: every wait has a deadline, and says what it waited for and how far it came."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dictator.link import NoAnswer, Runtime, ServerError
from dictator.observation import Instance, Replication, replication
from safe_redis.errors import NotCaughtUp

T = TypeVar("T")
# between two looks at a condition, in seconds: the first looks come close together, since most waits are short
FIRST_LOOK = 0.0002
LOOKS = 0.004
INFO = ("INFO", "replication")


@dataclass(frozen=True, slots=True)
class Offset:
    """A place in a replication history: what the target must have applied."""

    replid: str
    offset: int


def done(instance: Instance, replies: Sequence[Any], *, tolerate: tuple[int, ...] = ()) -> Sequence[Any]:
    """The replies, if redis answered none of them with an error (but those whose places are tolerated)."""
    for place, reply in enumerate(replies):
        if isinstance(reply, ServerError) and place not in tolerate:
            raise NoAnswer(f"{instance} refused a command: {reply.text}")
    return replies


def ask(runtime: Runtime, instance: Instance) -> Replication:
    """The instance's replication section, now."""
    (fields,) = done(instance, runtime.link(instance).send(INFO))
    return replication(fields)


def until(runtime: Runtime, seconds: float, look: Callable[[], T | None]) -> T | None:
    """What `look` finds, once it finds something; None after `seconds`. It is asked at least once."""
    deadline = runtime.now() + seconds
    pause = FIRST_LOOK
    while True:
        found = look()
        if found is not None:
            return found
        if runtime.now() >= deadline:
            return None
        runtime.sleep(pause)
        pause = min(pause * 1.5, LOOKS)


def in_sync(runtime: Runtime, target: Instance, source: Instance, seconds: float) -> None:
    """Waits until the target is a slave of the source with its link up and the source's history."""
    last: list[str] = []

    def look() -> bool | None:
        found, wanted = ask(runtime, target), ask(runtime, source)
        link = "up" if found.link_up else "syncing" if found.syncing else "down"
        last[:] = [f"link {link}, history {found.history.replid[:8]} of {wanted.history.replid[:8]}"]
        return (found.link_up and found.follows(source) and found.history.replid == wanted.history.replid) or None

    if until(runtime, seconds, look) is None:
        raise NotCaughtUp(f"{target} is not in sync with {source}: {last[0]}, gave up after {seconds:g} s")


def applied(runtime: Runtime, target: Instance, wanted: Offset, seconds: float, *, linked: bool) -> int:
    """Waits until the target has applied `wanted`, and returns its offset. `linked`: with its link up, too."""
    last = [0]

    def look() -> int | None:
        found = ask(runtime, target)
        last[0] = found.history.offset
        same = not found.master and found.history.replid == wanted.replid and (found.link_up or not linked)
        return found.history.offset if same and found.history.offset >= wanted.offset else None

    found = until(runtime, seconds, look)
    if found is None:
        raise NotCaughtUp(f"{target} at offset {last[0]}, waiting for {wanted.offset}, gave up after {seconds:g} s")
    return found
