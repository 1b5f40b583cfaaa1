"""The Runtime of real instances. Links live as long as it does; use it as a context manager."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Lock
from typing import Self, TypeVar

from dictator.connection import access
from dictator.conversation import drive
from dictator.idle import IdleConnections
from dictator.instance import Instance
from dictator.link import Group, NoAnswer, Replies
from dictator.redis_link import RedisLink
from dictator.settings import Settings

T = TypeVar("T")
R = TypeVar("R")


class RedisRuntime:
    """See Runtime. The pool serves map_parallel(); `idle` is where connections come from, and go to in the end."""

    def __init__(self, settings: Settings, pool: ThreadPoolExecutor, idle: IdleConnections | None = None) -> None:
        self.deadline = time.monotonic() + settings.apply_timeout
        self._access = access(settings)
        self._pool = pool
        self._idle = idle or IdleConnections()
        self._acting = False
        self._lock = Lock()
        self._links: dict[tuple[str, int], RedisLink] = {}
        self._instances: dict[tuple[str, int], Instance] = {}

    def link(self, instance: Instance) -> RedisLink:
        """See Runtime."""
        with self._lock:
            known = self._links.get(instance.address)
            if known is None:
                kept = None if self._acting else self._idle.take(instance)
                known = RedisLink(instance, self._access, acting=self._acting, connection=kept)
                self._links[instance.address] = known
                self._instances[instance.address] = instance
            return known

    def take_over(self, instances: Iterable[Instance], spared: Iterable[Instance] = ()) -> dict[Instance, NoAnswer]:
        """See Runtime."""
        for instance in spared:
            self.link(instance).only_read()
        self._acting = True
        for link in tuple(self._links.values()):
            link.act()
        groups: list[Group] = [(instance, ()) for instance in dict.fromkeys(instances)]
        outcomes = zip(groups, self.send_all(groups), strict=True)
        return {instance: outcome for (instance, _), outcome in outcomes if isinstance(outcome, NoAnswer)}

    def send_all(self, groups: Sequence[Group]) -> list[Replies | NoAnswer]:
        """See Runtime."""
        links = {instance.address: self.link(instance) for instance, _ in groups}
        if len(links) < len(groups):
            raise ValueError("send_all takes an instance once at most")
        with ExitStack() as locks:
            # always in the same order, so that two threads can't wait for each other
            for address in sorted(links):
                locks.enter_context(links[address].lock)
            talks = [links[instance.address].talk(commands) for instance, commands in groups]
            drive(talks)
        return [talk.result for talk in talks]

    def now(self) -> float:
        """See Runtime."""
        return time.monotonic()

    def clock(self) -> int:
        """See Runtime."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """See Runtime."""
        time.sleep(seconds)

    def map_parallel(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """See Runtime."""
        return list(self._pool.map(function, items))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for address, link in self._links.items():
            connection = link.release()
            if connection:
                self._idle.give(self._instances[address], connection)
