"""What readers see across switches: histories of writers and readers, recorded on real servers and checked."""

import threading
import time
from typing import Any, Self

import pytest

from redis_counter.histories import Append, Findings, Read, check
from safe_redis.client import Redis
from sandbox.process import wait_until
from tests.client.conftest import Group

KEY = "list"


class History:
    """Writers and readers that share a client, while the block runs."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._ended = threading.Event()
        self.appends: list[Append] = []
        self.reads: list[Read] = []
        self._threads = [threading.Thread(target=self._write, args=(name,)) for name in ("w1", "w2")]
        self._threads += [threading.Thread(target=self._read, args=(name,)) for name in ("r1", "r2")]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(30)

    def _write(self, name: str) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            start = time.monotonic()
            self._client.rpush(KEY, f"{name}-{number}")
            self.appends.append(Append(f"{name}-{number}", start, time.monotonic()))
            time.sleep(0.002)

    def _read(self, name: str) -> None:
        while not self._ended.is_set():
            start = time.monotonic()
            values: Any = self._client.lrange(KEY, 0, -1)
            self.reads.append(Read(name, tuple(values), start, time.monotonic()))
            time.sleep(0.002)

    def go_on(self) -> None:
        """Wait for more of both."""
        appends, reads = len(self.appends) + 20, len(self.reads) + 20
        wait_until(lambda: len(self.appends) >= appends and len(self.reads) >= reads, "writers and readers go on", 30)


def record(group: Group, flavour: str) -> Findings:
    group.add("a", "b", flavour=flavour)
    group.publish("a")
    with History(group.connect()) as history:
        for old, new in (("a", "b"), ("b", "a"), ("a", "b")):
            history.go_on()
            group.switch(old, new)
            group.publish(new)
            history.go_on()
    final = [str(value) for value in group["b"].client().lrange(KEY, 0, -1)]
    return check(history.appends, history.reads, final)


@pytest.mark.parametrize("flavour", ["redis-7.0", "valkey-8.0"])
def test_writes_are_never_lost_doubled_or_reordered_and_reads_are_beginnings_of_the_list(
    group: Group, flavour: str
) -> None:
    findings = record(group, flavour)
    assert findings.writes_are_sound, findings
    assert findings.diverged == ()


def test_with_the_redirection_of_valkey_no_read_is_stale(group: Group) -> None:
    findings = record(group, "valkey-8.0")
    assert findings.reads_are_sound, findings
