"""Watchers of what a dictator sends, by the command that they wait for; and dictators that die at such a place."""

import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from tests.dictator.harness import Harness
from tests.dictator.proxy import Gate
from tests.dictator.zygote import Job, Killed


@dataclass
class At:
    """Does something once: before the group with the `times`-th such command to an instance, or `after` its answer.

    `act` says by False that nothing is passed on. What it does may take its time: only this connection waits for it.
    `then` is called before each group that comes after that.
    """

    name: str
    command: str
    act: Callable[[], object] = lambda: None
    times: int = 1
    after: bool = False
    hit: str = ""
    then: Callable[[], object] = lambda: None
    _armed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(self, name: str, commands: tuple[str, ...]) -> bool:
        """See proxy.Watch."""
        if self.hit:
            self.then()
        with self._lock:
            # what is discarded only asks whether it is allowed
            if self.hit or name != self.name or self.command not in commands or "DISCARD" in commands:
                return True
            self.times -= 1
            if self.times:
                return True
            self.hit = f"{name} {' + '.join(commands)}"
            if self.after:
                self._armed = True
                return True
        return self.act() is not False

    def reply(self, name: str) -> bool:
        """See proxy.Watch."""
        with self._lock:
            if not self._armed or name != self.name:
                return True
            self._armed = False
        return self.act() is not False


def killed_at(harness: Harness, document: str, watcher: At | Gate) -> str:
    """Starts a dictator that gets SIGKILL where the watcher says: which group that was; empty where it lived on."""
    started: Future[Job] = Future()

    def kill() -> bool:
        started.result(10).signal(signal.SIGKILL)
        return False

    watcher.act = kill
    harness.watch(watcher)
    job = harness.apply(document)
    started.set_result(job)
    try:
        job.result()
    except Killed:
        return watcher.hit
    finally:
        harness.watch(None)
    return ""
