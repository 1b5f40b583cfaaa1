"""The dictator's interface to redis instances, so small that the tests' model can stand in. Pure: no I/O, no clock.

Failures of the connection are raised as NoAnswer. Errors that redis answers are values (`ServerError`), so that
each command of a pipelined group keeps its own outcome. `dictator/runtime.py` is the real one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from dictator.instance import Instance
from safe_redis.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")
Command = tuple[str | int, ...]
Replies = Sequence[Any]
Group = tuple[Instance, tuple[Command, ...]]


class NoAnswer(Unavailable):
    """An instance can't be reached, or does not answer in time. What was sent to it may have been done, or not."""


class OutsideNetworks(NoAnswer):
    """The instance's address is in none of ALLOWED_NETWORKS. No connection was made."""


class NotAllowed(NoAnswer):
    """The instance doesn't let the dictator's user send `command`, which ends the connections of other dictators."""

    def __init__(self, instance: Instance, command: str, text: str) -> None:
        super().__init__(f"{instance} doesn't allow {command}: {text}")
        self.command = command


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error that redis answered to one command: its code, and its text where that is one of redis's own."""

    text: str


class Link(Protocol):
    """One instance's commands: a group is sent at once, and answered in order."""

    def send(self, *commands: Command) -> Replies:
        """The replies: a dict for INFO, a ServerError for an error, else as RESP2 has them. Raises NoAnswer."""


class Runtime(Protocol):
    """What the dictator needs from outside: links, time, and work done in parallel.

    A runtime starts *looking*: its connections have no name, and a link reopens a broken one. take_over() makes it
    *acting*: each link then has one named connection, which is never reopened.
    """

    deadline: float
    """When the whole run must be done, by now(); infinity for never. Waits are cut to what is left until then."""

    def link(self, instance: Instance) -> Link:
        """The link to the instance, opened at the first use. If the runtime is acting, that use takes over first."""

    def take_over(self, instances: Iterable[Instance], spared: Iterable[Instance] = ()) -> dict[Instance, NoAnswer]:
        """Starts acting: ends the connections of all other dictators at these instances, in parallel.

        Those that are `spared` belong to another cluster, whose dictator may be at work there: they are only read.
        From then on no link is ever reopened: after a failure each later send raises NoAnswer at once. The result
        holds the instances that failed, whose links are dead; NotAllowed where a permission is missing.
        """

    def send_all(self, groups: Sequence[Group]) -> list[Replies | NoAnswer]:
        """Sends all groups before any reply is read; the outcomes in the groups' order. An instance at most once."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""

    def clock(self) -> int:
        """The wall clock in ms since 1970."""

    def sleep(self, seconds: float) -> None:
        """Waits."""

    def map_parallel(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """`function` of each item, all at once; the results in the items' order."""


def fields(text: str) -> dict[str, str]:
    """INFO's lines `name:value` as a dict; headings and empty lines left out."""
    return dict([line.split(":", 1) for line in text.split("\r\n") if ":" in line])  # a heading has no colon
