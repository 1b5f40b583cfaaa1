"""Decides which instance to connect to: the one that a demoted master has named, the one in DNS, or the last one."""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from safe_redis.client.replies import Role
from safe_redis.errors import Unresolved
from safe_redis.srv import Endpoint, Resolver

HINT_LIFE = 1.0
"""Seconds that a demoted master's word counts more than DNS, which learns of the switch some milliseconds later."""


PLAIN_LIFE = 10.0
"""Seconds that an instance counts as one without CLIENT CAPA: then it may have been upgraded."""

KNOWN = 1000
"""How many addresses are remembered, as each restart may bring a new one. To forget them costs a round trip or two."""

POLLS, POLL = 80, 0.00025
"""How often, and how many seconds apart, a fenced master is asked for its successor: it is handed over in a moment."""


class Event(Protocol):
    """threading's, or asyncio's."""

    def set(self) -> None:
        """Let those go on that wait for it."""


class Locator:
    """Finds the master. Any thread may use it.

    `forget` drops the idle connections to an endpoint; the pool sets it.
    """

    writable = True

    def __init__(self, resolver: Resolver, service: str) -> None:
        self.service = service
        self.forget: Callable[[Endpoint], None] = lambda _: None
        self._left: set[Endpoint] = set()
        # those that have refused CLIENT CAPA, and when it is to be sent to them again
        self._plain: dict[Endpoint, float] = {}
        self._resolver = resolver
        self._hint: tuple[Endpoint, float] | None = None
        self._last: Endpoint | None = None
        # by process: one that was forked while a thread asked does not have that thread
        self._asked: dict[int, Event] = {}

    @contextmanager
    def turn(self, mine: Event) -> Iterator[bool]:
        """Whether the caller is the one that asks a demoted master. `mine` is set when it is done."""
        process = os.getpid()
        first = self._asked.setdefault(process, mine) is mine
        try:
            yield first
        finally:
            if first:
                del self._asked[process]
                mine.set()

    @property
    def asked(self) -> Any:
        """What is set when the one that asks a demoted master now is done; None if nobody does.

        Who connects waits for that, no longer than POLLS * POLL.
        """
        return self._asked.get(os.getpid())

    @property
    def hint(self) -> Endpoint | None:
        """Where a demoted master has just said that its master is."""
        hint = self._hint
        return hint[0] if hint is not None and time.monotonic() < hint[1] else None

    def endpoint(self) -> Endpoint:
        """Where to connect to. Unresolved where no name server answers and no master was ever found."""
        hint = self.hint
        if hint is not None:
            return hint
        try:
            return self._look_up()
        except Unresolved:
            if self._last is None:
                raise
            return self._last

    def _look_up(self) -> Endpoint:
        return self._resolver.srv(self.service)

    def redirects(self, endpoint: Endpoint) -> bool:
        """Whether it is to be asked to redirect writes: it may be a Valkey, and writes are sent."""
        return self.writable and time.monotonic() >= self._plain.get(endpoint, 0.0)

    def has_no_redirects(self, endpoint: Endpoint) -> None:
        """It does not know CLIENT CAPA, as Redis does not."""
        if len(self._plain) >= KNOWN:
            self._plain.clear()
        self._plain[endpoint] = time.monotonic() + PLAIN_LIFE

    def has_stopped(self, endpoint: Endpoint) -> None:
        """It has closed an idle connection, or accepts none: what listens there next may be another program."""
        self._plain.pop(endpoint, None)

    def accepts(self, role: Role) -> bool:
        """Whether an instance of this role is what is looked for."""
        return role.is_master

    def confirm(self, endpoint: Endpoint) -> None:
        """Connected there, and it has the role that is wanted."""
        self._last = endpoint
        self._left.discard(endpoint)

    def learn(self, master: Endpoint | None) -> None:
        """Note where a slave says that its master is."""
        if master is not None:
            self._hint = (master, time.monotonic() + HINT_LIFE)

    def doubt(self, endpoint: Endpoint) -> None:
        """Could not be reached, or has another role: DNS decides again."""
        hint = self._hint
        if hint is not None and hint[0] == endpoint:
            self._hint = None

    def leave(self, endpoint: Endpoint) -> None:
        """It has refused a command, or not answered one: connections to it are dropped until it is confirmed again."""
        if len(self._left) >= KNOWN:
            self._left.clear()
        self._left.add(endpoint)
        self.forget(endpoint)

    def has_left(self, endpoint: Endpoint) -> bool:
        """Whether connections to it are to be dropped."""
        return endpoint in self._left


class SlaveLocator(Locator):
    """Finds any slave, in random order. A slave that has just been promoted is as good."""

    writable = False

    def _look_up(self) -> Endpoint:
        return random.choice(self._resolver.endpoints(self.service))  # noqa: S311 - spreads readers, guards nothing

    def accepts(self, role: Role) -> bool:
        """A slave that is connected to its master, or a master."""
        return role.is_master or role.connected

    def learn(self, master: Endpoint | None) -> None:
        """The master is not what readers look for."""
