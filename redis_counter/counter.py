"""Runs the writers, each in a process, and compares their outcomes with what the final master holds.

Processes, because one Python thread at a time would be no match for a redis server.
"""

import ctypes
import multiprocessing as mp
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Annotated, Literal

from msgspec import Meta

from redis_counter.master import Master, NoMasterError, ask
from redis_counter.senders import ClientSender, PlainSender
from redis_counter.stored import read
from redis_counter.tally import Tally, join, tally
from redis_counter.writer import Report, Sender, Writer
from safe_redis.logs import LogSettings
from safe_redis.srv import Resolver

LOOK_UP_TIMEOUT = 1.0
Progress = Callable[[int], None]


class Settings(LogSettings, frozen=True, kw_only=True):
    """What the environment sets. `counter_interval` is in ms, for each writer; `counter_patience` is in seconds."""

    nameservers: tuple[str, ...] = ()
    nameservers_port: Annotated[int, Meta(ge=1, le=65535)] = 53
    counter_service: str = "master.redis-1.docker"
    counter_count: Annotated[int, Meta(ge=1)] = 10_000
    counter_key: str = "debug:counter:stack"
    counter_interval: Annotated[float, Meta(ge=0)] = 1.0
    counter_clear: bool = False
    counter_writers: Annotated[int, Meta(ge=1, le=1000)] = 1
    counter_patience: Annotated[float, Meta(gt=0)] = 60.0
    counter_client: Literal["safe", "plain"] = "safe"


class WriterDiedError(Exception):
    """A writer's process ended without a report."""


@dataclass(frozen=True, slots=True)
class Written:
    """What the writers did, together; times in seconds."""

    reports: tuple[Report, ...]
    seconds: float

    @property
    def attempts(self) -> int:
        """Writes that were tried."""
        return sum(report.outcomes.attempts for report in self.reports)

    @property
    def longest_pause(self) -> float:
        """The longest that any one writer had to wait from one ack to its next."""
        return max(report.longest_pause for report in self.reports)

    @property
    def errors(self) -> Mapping[str, int]:
        """How often each kind of error was met."""
        return sum((Counter(report.errors) for report in self.reports), Counter())

    @property
    def gave_up(self) -> str:
        """Why a writer ended early, or nothing."""
        return next((report.gave_up for report in self.reports if report.gave_up), "")


def master_of(settings: Settings) -> Master:
    """Looks up with the settings' name servers."""
    resolver = Resolver(settings.nameservers, settings.nameservers_port, timeout=LOOK_UP_TIMEOUT)
    return Master(resolver, settings.counter_service, settings.counter_patience)


def sender(settings: Settings, stopped: Callable[[], bool]) -> Sender:
    """A connection of its own for each writer, the way that COUNTER_CLIENT says."""
    if settings.counter_client == "plain":
        return PlainSender(master_of(settings), settings.counter_key, stopped)
    return ClientSender(
        settings.nameservers,
        settings.nameservers_port,
        settings.counter_service,
        settings.counter_key,
        settings.counter_patience,
    )


def clear(settings: Settings) -> None:
    """Empty the list."""
    master_of(settings).attempt(lambda connection: ask(connection, "DEL", settings.counter_key))


class WriterPool:
    """The writers' processes. They end when they are done or stopped, or when this process has gone."""

    def __init__(self, settings: Settings) -> None:
        self._context = mp.get_context("fork")
        self._settings = settings
        self._stop = self._context.RawValue(ctypes.c_bool)
        self._wrote = self._context.RawArray(ctypes.c_ulonglong, settings.counter_writers)
        self._writers: dict[Pipe, BaseProcess] = {}

    def stop(self) -> None:
        """Ask all writers to end after their current write."""
        self._stop.value = True

    def run(self, progress: Progress) -> Written:
        """Write all; `progress` gets the number of writes made so far, about ten times a second."""
        started = time.monotonic()
        for number in range(self._settings.counter_writers):
            receiving, sending = self._context.Pipe(duplex=False)
            writer = self._context.Process(target=self._write, args=(number, sending, os.getpid()), daemon=True)
            writer.start()
            sending.close()
            self._writers[receiving] = writer
        reports = self._gather(progress)
        return Written(reports, time.monotonic() - started)

    def _gather(self, progress: Progress) -> tuple[Report, ...]:
        reports: list[Report] = []
        waiting = set(self._writers)
        while waiting:
            ready = wait(list(waiting), timeout=0.1)
            for pipe in waiting.intersection(ready):
                waiting.remove(pipe)
                reports.append(self._report(pipe))
            progress(sum(self._wrote))
        return tuple(reports)

    def _report(self, pipe: Pipe) -> Report:
        try:
            report: Report = pipe.recv()
        except EOFError:
            self.stop()
            self._writers[pipe].join()
            raise WriterDiedError(f"a writer ended with exit status {self._writers[pipe].exitcode}") from None
        self._writers[pipe].join()
        return report

    def _write(self, number: int, sending: Pipe, parent: int) -> None:
        """In the writer's own process."""
        for ending in (signal.SIGINT, signal.SIGTERM):  # these go to the whole group; the parent decides
            signal.signal(ending, signal.SIG_IGN)

        def stopped() -> bool:
            return self._stop.value or os.getppid() != parent

        def wrote() -> None:
            self._wrote[number] += 1

        settings = self._settings
        count, rest = divmod(settings.counter_count, settings.counter_writers)
        interval = settings.counter_interval / 1000
        writer = Writer(sender(settings, stopped), interval, stopped, wrote, settings.counter_patience)
        sending.send(writer.run(count + (number < rest)))


def compare(settings: Settings, written: Written) -> Tally:
    """The tally against what the final master holds."""
    held = master_of(settings).attempt(lambda connection: read(connection, settings.counter_key))
    return tally(join(report.outcomes for report in written.reports), held)


__all__ = ["NoMasterError", "Settings", "WriterDiedError", "WriterPool", "Written", "clear", "compare"]
