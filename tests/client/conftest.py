"""A master and its slaves on real servers, DNS that names them, and a switch by hand that stops where a test wants."""

import asyncio
import gc
import inspect
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from safe_redis import client
from sandbox.etcd import EtcdServer
from sandbox.keys import Keys
from sandbox.process import wait_until
from sandbox.redis import RedisServer
from sandbox.skydns import SkyDns

SERVICE = "master.redis-1.docker"
SLAVES = "slaves.redis-1.docker"


def fork(work: Callable[[], object]) -> int:
    """The id of a new process that does the work, and then ends without this one's clean-up; os.waitpid() ends it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


@dataclass
class Group:
    """Servers by name; a is the first master. DNS learns of a switch only when `publish` is called."""

    keys: Keys
    dns: SkyDns
    start: Callable[..., RedisServer]
    stack: ExitStack
    servers: dict[str, RedisServer] = field(default_factory=dict)

    def add(self, *names: str, **options: Any) -> None:
        """Start servers; all but a follow a, and are in sync."""
        for name in names:
            self.servers[name] = self.start(name, **options)
        others = [self[name] for name in self.servers if name != "a"]
        for other in others:
            other.client().replicaof(self["a"].host, str(self["a"].port))
        wait_until(lambda: all(other.client().role()[3] == "connected" for other in others), "all follow a", 20)

    def __getitem__(self, name: str) -> RedisServer:
        return self.servers[name]

    def publish(self, name: str, port: int | None = None) -> None:
        """From now on DNS names this one as the master."""
        server = self[name]
        value = json.dumps({"host": server.host, "port": port or server.port})
        self.keys.put("/skydns/docker/redis-1/master", value)

    def publish_slaves(self, *names: str) -> None:
        """From now on DNS names these as the slaves."""
        for name in names:
            value = json.dumps({"host": self[name].host, "port": self[name].port})
            self.keys.put(f"/skydns/docker/redis-1/slaves/{name}", value)

    def fence(self, old: str = "a", new: str = "b") -> None:
        """As the dictator does: no writes at the old master, and the new one has everything."""
        self[old].client().replicaof("127.0.0.1", "0")
        behind = self[old].client()
        wait_until(
            lambda: self[new].client().info("replication")["slave_repl_offset"] == behind.info()["master_repl_offset"],
            f"{new} has everything",
            20,
        )

    def promote(self, new: str = "b") -> None:
        """Make it a master."""
        self[new].client().replicaof("NO", "ONE")

    def hand_over(self, old: str = "a", new: str = "b") -> None:
        """Make the old master a slave of the new one."""
        self[old].client().replicaof(self[new].host, str(self[new].port))

    def complete(self, old: str = "a", new: str = "b") -> None:
        """What comes after the fence."""
        self.promote(new)
        self.hand_over(old, new)

    def switch(self, old: str = "a", new: str = "b") -> None:
        """All of it but DNS."""
        self.fence(old, new)
        self.promote(new)
        self.hand_over(old, new)

    def nameserver(self) -> dict[str, Any]:
        """Where to look names up."""
        return {"nameservers": [self.dns.host], "nameservers_port": self.dns.port}

    def connect(self, **options: Any) -> client.Redis:
        """A client of the master."""
        made = client.connect(SERVICE, **{"decode_responses": True, **self.nameserver(), **options})
        self.stack.callback(made.close)
        return made

    def executed(self, name: str, command: str) -> int:
        """How often this server has executed the command, by its own count."""
        stats: dict[str, Any] = self[name].client().info("commandstats")
        return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


@pytest.fixture
def group(skydns: SkyDns, etcd: EtcdServer, start_redis: Callable[..., RedisServer], tmp_path: Path) -> Iterator[Group]:
    """No servers yet."""
    with ExitStack() as stack:
        yield Group(Keys(etcd.url), skydns, start_redis, stack)


@pytest.fixture
def pair(group: Group) -> Group:
    """Master a with its slave b; DNS names a."""
    group.add("a", "b")
    group.publish("a")
    return group


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests that are coroutines, each in a loop of its own. What one leaves open fails it, not a later one."""
    if not inspect.iscoroutinefunction(pyfuncitem.function):
        return None
    names = inspect.signature(pyfuncitem.function).parameters
    asyncio.run(pyfuncitem.function(**{name: pyfuncitem.funcargs[name] for name in names}))
    gc.collect()
    return True
