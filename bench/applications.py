"""An application in a process of its own: threads that share one client, and push one value after the other.

It does what a careful program does with each client: after an error it asks anew where the master is, if its client
doesn't do so by itself, and writes the next value.
"""

import multiprocessing as mp
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from redis_counter.tally import Outcomes, Tally, tally
from safe_redis import client as safe
from safe_redis.errors import Unresolved
from safe_redis.srv import Resolver

SERVICE = "master.redis-1.docker"
INTERVAL = 0.001
"""Seconds between an ack and the next write of each thread: else one Python process is busy with itself."""
PAUSE = 0.001
LONGEST = 120.0

Found = Callable[[], redis.Redis]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an application finds its master; which of these it uses depends on its client."""

    nameserver: tuple[str, int] = ("127.0.0.1", 53)
    proxy: int = 0
    sentinel: tuple[str, int] = ("127.0.0.1", 26379)


@dataclass
class Report:
    """What the application lived through. Times are those of the monotonic clock, in seconds.

    `acks` has, for each thread, since when it wanted to write, when that was acknowledged, and the value. A thread
    whose write fails goes on wanting.
    """

    acks: list[list[tuple[float, float, str]]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def pause(self, start: float, end: float) -> float:
        """The longest time in ms that any thread waited for an ack, of those waits that touch this span."""
        return max(
            (
                (acked - wanted) * 1000
                for acks in self.acks
                for wanted, acked, _ in acks
                if start <= acked and wanted <= end
            ),
            default=0.0,
        )

    def judge(self, stored: list[str]) -> Tally:
        """What is missing, phantom and doubled."""
        acked = tuple(value for acks in self.acks for *_, value in acks)
        return tally(Outcomes(acked, tuple(self.refused), tuple(self.unknown)), stored)


def ours(place: Place) -> Found:
    """safe_redis.client: the same client for ever."""
    host, port = place.nameserver
    client = safe.connect(SERVICE, nameservers=[host], nameservers_port=port)
    return lambda: client


def plain(place: Place) -> Found:
    """redis-py with its defaults, looked up and made anew after an error."""
    host, port = place.nameserver
    resolver = Resolver([host], port, timeout=1)

    def find() -> redis.Redis:
        endpoint = resolver.srv(SERVICE)
        return redis.Redis(endpoint.host, endpoint.port)

    return find


def proxied(place: Place) -> Found:
    """redis-py without its retries, through HAProxy."""
    client = redis.Redis(port=place.proxy, retry=Retry(NoBackoff(), 0))
    return lambda: client


def sentinel(place: Place) -> Found:
    """redis-py's own Sentinel client, with its defaults."""
    client: redis.Redis = Sentinel([place.sentinel], socket_timeout=1).master_for("bench", socket_timeout=1)
    return lambda: client


KINDS: dict[str, Callable[[Place], Found]] = {
    "safe_redis.client": ours,
    "redis-py": plain,
    "redis-py, HAProxy": proxied,
    "redis-py, Sentinel": sentinel,
}


class Application:
    """Threads that write while the block runs. `report` is there afterwards."""

    def __init__(self, kind: str, place: Place, key: str, threads: int) -> None:
        self.report = Report()
        context = mp.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(kind, place, key, threads, theirs), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._wait()  # all threads have an ack
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._pipe.send("stop")
                self.report = self._wait()
        finally:
            self._process.kill()
            self._process.join()

    def _wait(self) -> Any:
        if not self._pipe.poll(LONGEST):
            raise TimeoutError(f"the application said nothing for {LONGEST:g} s")
        return self._pipe.recv()


def _run(kind: str, place: Place, key: str, threads: int, pipe: Pipe) -> None:
    find, ended = KINDS[kind](place), threading.Event()
    writers = [Writer(find, key, f"{number}", ended) for number in range(threads)]
    running = [threading.Thread(target=writer.run) for writer in writers]
    for thread in running:
        thread.start()
    while not all(writer.acks for writer in writers):
        time.sleep(0.01)
    pipe.send("writing")
    pipe.recv()
    ended.set()
    for thread in running:
        thread.join()
    report = Report()
    for writer in writers:
        report.acks.append(writer.acks)
        report.refused += writer.refused
        report.unknown += writer.unknown
        report.errors += writer.errors
    pipe.send(report)


class Writer:
    """One thread."""

    def __init__(self, find: Found, key: str, name: str, ended: threading.Event) -> None:
        self._find = find
        self._key = key
        self._name = name
        self._ended = ended
        self.acks: list[tuple[float, float, str]] = []
        self.refused: list[str] = []
        self.unknown: list[str] = []
        self.errors: Counter[str] = Counter()

    def run(self) -> None:
        """One value after the other, each handed to the client once."""
        client, number, wanted = None, 0, time.monotonic()
        while not self._ended.is_set():
            number += 1
            value = f"{self._name}-{number}"
            try:
                client = client or self._find()
                client.rpush(self._key, value)
            except (redis.ResponseError, safe.NoMaster, Unresolved) as error:
                self.refused.append(value)
                self._failed(error)
                client = None
            except redis.RedisError as error:
                self.unknown.append(value)
                self._failed(error)
                client = None
            else:
                self.acks.append((wanted, time.monotonic(), value))
                time.sleep(INTERVAL)
                wanted = time.monotonic()

    def _failed(self, error: Exception) -> None:
        self.errors[type(error).__name__] += 1
        time.sleep(PAUSE)
