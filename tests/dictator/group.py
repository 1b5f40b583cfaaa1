"""Instances at their own addresses, and a dictator in the test's own process."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import redis

from dictator.apply import Dictator
from dictator.lineage import KEY
from dictator.receipt import Receipt
from dictator.settings import Settings
from safe_redis.topology import Address, Topology
from sandbox.process import wait_until
from sandbox.redis import RedisServer
from tests.dictator.proxy import InstanceProxy

PATIENCE = 30.0
Where = RedisServer | InstanceProxy


class Group:
    """Starts instances and names them; where one has a proxy, the topology shows the proxy's address."""

    def __init__(self, start: Callable[..., RedisServer], flavour: str = "redis-7.0") -> None:
        self._start = start
        self._flavour = flavour
        self.servers: dict[str, RedisServer] = {}
        self.proxies: dict[str, InstanceProxy] = {}
        self.password: str | None = None

    def add(self, *names: str, **options: Any) -> None:
        """Starts instances; options as RedisServer's."""
        for name in names:
            self.servers[name] = self._start(name, **{"flavour": self._flavour} | options)

    def proxy(self, *names: str) -> None:
        """Puts a proxy before each of the instances."""
        for name in names:
            self.proxies[name] = InstanceProxy(name, self.servers[name].host, self.servers[name].port)

    def close(self) -> None:
        """Closes the proxies."""
        for proxy in self.proxies.values():
            proxy.close()

    def where(self, name: str) -> Where:
        """What has the address that the topology shows."""
        return self.proxies.get(name) or self.servers[name]

    def __getitem__(self, name: str) -> "redis.Redis":
        """A client of the instance itself."""
        return self.servers[name].client(password=self.password, socket_timeout=10, protocol=2, driver_info=None)

    def topology(self, master: str, *slaves: str) -> Topology:
        """The document, parsed."""
        addresses = [Address(self.where(name).host, self.where(name).port) for name in (master, *slaves)]
        return Topology(addresses[0], tuple(addresses[1:]))

    def apply(self, master: str, *slaves: str, force: bool = False, **settings: Any) -> Receipt:
        """Applies a topology with a dictator of these settings."""
        return Dictator(Settings(**settings)).apply(self.topology(master, *slaves), force=force)

    def keys(self, name: str) -> int:
        """How many keys an instance holds, without the lineage record."""
        return int(self[name].dbsize()) - (KEY in self[name].scan_iter(match=KEY, count=100_000))

    def follow(self, master: str, *slaves: str) -> None:
        """Makes slaves, behind the dictator's back, and waits for their links."""
        for name in slaves:
            self[name].replicaof(self.where(master).host, self.where(master).port)
            self[name].config_rewrite()
        for name in slaves:
            wait_until(partial(self.follows, name, master), f"{name} follows {master}", PATIENCE)

    def replication(self, name: str) -> dict[str, Any]:
        """Its replication section."""
        replication: dict[str, Any] = self[name].info("replication")
        return replication

    def follows(self, slave: str, master: str) -> bool:
        """Whether it is linked to the master, at the topology's address, and has applied all that the master has."""
        master_info, slave_info = self.replication(master), self.replication(slave)
        if slave_info["role"] != "slave" or slave_info["master_link_status"] != "up":
            return False
        same_history = slave_info["master_replid"] == master_info["master_replid"]
        same_port = slave_info["master_port"] == self.where(master).port
        return bool(same_history and same_port and slave_info["slave_repl_offset"] >= master_info["master_repl_offset"])

    def is_led_by(self, master: str, *slaves: str) -> None:
        """Asserts that the instance is a writable master, and waits until the slaves follow it."""
        assert self.replication(master)["role"] == "master"
        assert self[master].set("written:by:the:test", "1")
        for name in slaves:
            wait_until(partial(self.follows, name, master), f"{name} follows {master}", PATIENCE)

    def state(self) -> Mapping[str, Mapping[str, Any]]:
        """What a refusal must not change: roles, histories, settings, and the number of keys."""
        return {name: self._state(name) for name, server in self.servers.items() if server.running}

    def _state(self, name: str) -> Mapping[str, Any]:
        replication = self.replication(name)
        summary = {field: replication.get(field) for field in ("role", "master_host", "master_port", "master_replid")}
        return summary | {"keys": self.keys(name), "min": self[name].config_get("min-replicas-to-write")}


def fill(client: "redis.Redis", count: int = 100, prefix: str = "key") -> None:
    """Writes keys."""
    client.mset({f"{prefix}:{number}": "value" for number in range(count)})
