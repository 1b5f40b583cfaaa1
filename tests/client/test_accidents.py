"""The client under switches with accidents: nothing is executed twice, and what was not executed isn't there."""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from random import Random
from typing import Any, Self

import pytest

from redis_counter.tally import Outcomes, Tally, tally
from safe_redis import client as safe
from safe_redis.client import aio
from sandbox.cluster import Cluster
from sandbox.process import wait_until
from tests.client.conftest import SERVICE

KEY = "accidents"
WRITERS = 4


class Writers:
    """Push each value once, several at a time on one client, until the block ends."""

    def __init__(self, cluster: Cluster) -> None:
        self._options: dict[str, Any] = {
            "nameservers": ["127.0.0.1"],
            "nameservers_port": cluster.dns_port,
            "patience": 3,
            "socket_timeout": 1,
            "socket_connect_timeout": 0.5,
        }
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acked: list[str] = []
        self.refused: list[str] = []
        self.unknown: list[str] = []
        self.strange: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _run(self) -> None:
        raise NotImplementedError

    @contextmanager
    def _noting(self, value: str) -> Iterator[None]:
        """Sort the value by how its write, in the block, ends."""
        try:
            yield
        except safe.NoMaster:
            self.refused.append(value)
        except safe.OutcomeUnknown:
            self.unknown.append(value)
        except Exception as error:  # noqa: BLE001 - whatever else reaches a caller is a finding
            self.strange.append(repr(error))
        else:
            self.acked.append(value)

    def go_on(self) -> None:
        """Wait until more writes are acknowledged."""
        goal = len(self.acked) + 20
        wait_until(lambda: len(self.acked) >= goal, "writes are acknowledged", 40)

    def judge(self, stored: list[str]) -> Tally:
        """Compare with what is there."""
        return tally(Outcomes(tuple(self.acked), tuple(self.refused), tuple(self.unknown)), stored)


class Threads(Writers):
    """Threads that share a blocking client."""

    def _run(self) -> None:
        with safe.connect(SERVICE, **self._options) as client, ThreadPoolExecutor(WRITERS) as pool:
            for _ in range(WRITERS):
                pool.submit(self._write, client)

    def _write(self, client: safe.Redis) -> None:
        while not self._ended.is_set():
            value = str(uuid.uuid4())
            with self._noting(value):
                client.rpush(KEY, value)
            time.sleep(0.001)


class Tasks(Writers):
    """Tasks that share an asyncio client."""

    def _run(self) -> None:
        asyncio.run(self._gather())

    async def _gather(self) -> None:
        async with aio.connect(SERVICE, **self._options) as client:
            await asyncio.gather(*(self._write(client) for _ in range(WRITERS)))

    async def _write(self, client: aio.Redis) -> None:
        while not self._ended.is_set():
            value = str(uuid.uuid4())
            with self._noting(value):
                await client.rpush(KEY, value)
            await asyncio.sleep(0.001)


both = pytest.mark.parametrize("kind", [Threads, Tasks], ids=["blocking", "asyncio"])


def put(cluster: Cluster, master: str) -> bool:
    """The topology, to the dictator and then to dnsd; whether both have done it."""
    document = json.dumps(cluster.document(master))
    try:
        return all(
            service.request("PUT", path, document).status in {200, 202}
            for service, path in ((cluster.dictator, "/master"), (cluster.dnsd, "/dns"))
        )
    except (OSError, HTTPException):
        return False


def restart(cluster: Cluster, part: str) -> None:
    """SIGKILL, and start it again."""
    cluster.parts[part].kill()
    cluster.parts[part].start()


def pause(cluster: Cluster, part: str) -> None:
    """SIGSTOP for a moment that is longer than a switch."""
    cluster.parts[part].process.pause()
    time.sleep(0.4)
    cluster.parts[part].process.resume()


ACCIDENTS: dict[str, Callable[[Cluster, str, str], None]] = {
    "the dictator dies": lambda cluster, _, __: restart(cluster, "dictator"),
    "the dictator stalls": lambda cluster, _, __: pause(cluster, "dictator"),
    "the old master stalls": lambda cluster, old, _: pause(cluster, old),
    "the new master stalls": lambda cluster, _, new: pause(cluster, new),
    "the name server stalls": lambda cluster, _, __: pause(cluster, "skydns"),
    "dnsd dies": lambda cluster, _, __: restart(cluster, "dnsd"),
}
ROUNDS = {"sample": 1, "full": 12}


@both
@pytest.mark.parametrize("extent", ["sample", pytest.param("full", marks=pytest.mark.full)])
@pytest.mark.timeout(600)
def test_nothing_is_executed_twice_whatever_happens_during_switches(
    cluster: Cluster, kind: type[Writers], extent: str
) -> None:
    names, random = list(cluster.nodes), Random(extent)
    wait_until(lambda: put(cluster, names[0]), "the first master is published", 60, 0.2)
    old = 0
    with kind(cluster) as writers, ThreadPoolExecutor(1) as pool:
        for name in list(ACCIDENTS) * ROUNDS[extent]:
            writers.go_on()
            new = (old + 1) % len(names)
            switching = pool.submit(put, cluster, names[new])
            time.sleep(random.uniform(0, 0.05))
            ACCIDENTS[name](cluster, names[old], names[new])
            switching.result(120)
            wait_until(lambda new=new: put(cluster, names[new]), f"the switch is done though {name}", 60, 0.2)  # type: ignore[misc]
            old = new
        writers.go_on()
    stored = [str(value) for value in cluster.nodes[names[old]].redis.client().lrange(KEY, 0, -1)]
    result = writers.judge(stored)
    assert writers.strange == []
    assert result.duplicates == ()
    assert result.phantom == ()
    assert result.missing == ()


@both
@pytest.mark.timeout(300)
def test_nothing_is_executed_twice_when_masters_crash(cluster: Cluster, kind: type[Writers]) -> None:
    """A crash may cost acknowledged writes, as ever with redis; it must not double one, or let a refused one in."""
    names = list(cluster.nodes)
    wait_until(lambda: put(cluster, names[0]), "the first master is published", 60, 0.2)
    with kind(cluster) as writers:
        for _ in range(2):
            writers.go_on()
            node = cluster.nodes[names[0]].redis
            node.kill()
            time.sleep(0.2)
            node.start()
        writers.go_on()
    stored = [str(value) for value in cluster.nodes[names[0]].redis.client().lrange(KEY, 0, -1)]
    result = writers.judge(stored)
    assert writers.strange == []
    assert result.duplicates == ()
    assert result.phantom == ()
    assert result.acked >= 60
