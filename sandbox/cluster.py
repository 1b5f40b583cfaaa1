"""The whole cluster: etcd, stand-ins for SkyDNS and registrator, the nodes, and the three services.

`python -m sandbox`, the tests and the benchmarks all use it. Everything listens on free ports of
the loopback interface and keeps its files in one directory.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import dns.exception

from sandbox.coredns import CoreDns
from sandbox.etcd import EtcdServer
from sandbox.nameserver import NameServer
from sandbox.node import SERVICE, Node
from sandbox.process import wait_until
from sandbox.registrator import Registrator
from sandbox.server import Server
from sandbox.service import Observer, WebService
from sandbox.skydns import SkyDns
from sandbox.unit import HOST, TOPOLOGY, TRIGGER, Surroundings

CONFIGURABLE = ("nodes", "registrator", "dictator", "dnsd", "observer")


class Cluster:
    """A context manager that starts everything and stops it again.

    `settings` has further environment variables for "dictator", "dnsd" and "observer", more redis
    settings for "nodes", and ttl, refresh and delay (seconds) for "registrator". With the v3 API of
    etcd, the real CoreDNS is in place of the stand-in for SkyDNS.
    """

    def __init__(
        self,
        directory: Path,
        nodes: int = 3,
        flavour: str = "redis-7.0",
        settings: Mapping[str, Mapping[str, str]] | None = None,
        api: str = "v2",
    ) -> None:
        given = {name: dict((settings or {}).get(name, {})) for name in CONFIGURABLE}
        if unknown := set(settings or {}) - set(CONFIGURABLE):
            raise ValueError(f"settings for {sorted(unknown)}; known: {CONFIGURABLE}")
        self.directory = directory.resolve()
        self.etcd = EtcdServer(self.directory / "etcd", release="3.7" if api == "v3" else "3.4", api=api)
        self.nameserver: NameServer = (
            CoreDns(self.etcd.url, self.directory / "coredns")
            if api == "v3"
            else SkyDns(self.etcd.url, self.directory / "skydns")
        )
        self.registrator = _registrator(self.etcd, given["registrator"])
        around = Surroundings(self.etcd.keys, self.registrator)
        names = [f"core-{number:02}" for number in range(1, nodes + 1)]
        self.nodes = {
            name: Node(name, self.directory / name, around, flavour=flavour, config=given["nodes"]) for name in names
        }
        self.dictator = WebService("dictator", self.directory / "dictator", around)
        self.dictator.env = {"NAMESERVERS": HOST, "NAMESERVERS_PORT": str(self.dns_port)}
        self.dnsd = WebService("dnsd", self.directory / "dnsd", around)
        self.dnsd.env = {"PUBLISH_DOMAIN": f"{SERVICE}.docker", "ETCD_PEERS": self.etcd.url, "ETCD_API": api}
        self.observer = Observer(self.directory / "observer")
        self.observer.env = {
            "ETCD_MACHINES": self.etcd.url,
            "ETCD_API": api,
            "TRIGGER": TRIGGER,
            "READ": TOPOLOGY,
            "NOTIFIES": "http://redis-1-dictator.docker/master,http://redis-1-dnsd.docker/dns",
            "DNS": HOST,
            "DNS_PORT": str(self.dns_port),
        }
        for service in (self.dictator, self.dnsd, self.observer):
            service.env |= given[service.name]

    @property
    def dns_port(self) -> int:
        """The port of the name server, for UDP and TCP."""
        return self.nameserver.port

    @property
    def parts(self) -> dict[str, Server]:
        """Everything that can be started, stopped and killed on its own, by name."""
        return {
            "etcd": self.etcd,
            self.nameserver.name: self.nameserver,
            **self.nodes,
            "dictator": self.dictator,
            "dnsd": self.dnsd,
            "observer": self.observer,
        }

    def start(self) -> None:
        """Start everything; return when all parts answer and DNS knows their names."""
        self.etcd.start()
        self.registrator.start()
        others = [part for part in self.parts.values() if part is not self.etcd]
        for part in others:
            part.start(wait=False)
        for part in others:
            part.wait_ready()
        names = [node.address for node in self.nodes.values()]
        names += [f"{unit.service}.docker" for unit in (self.dictator, self.dnsd)]
        wait_until(lambda: all(map(self.resolves, names)), f"DNS knows {names}", timeout=30)

    def stop(self) -> None:
        """Stop everything that runs. The first failure is raised when all are stopped."""
        units = [self.observer, self.dictator, self.dnsd, *self.nodes.values()]
        try:
            _stop_all(units)
        finally:
            self.registrator.stop()
            _stop_all([self.nameserver, self.etcd])

    def resolves(self, name: str) -> bool:
        """Whether DNS has an SRV answer for the name."""
        try:
            return bool(self.nameserver.query(name).answer)
        except (OSError, dns.exception.DNSException):
            return False

    def document(self, master: str, slaves: Sequence[str] | None = None) -> dict[str, Any]:
        """The topology with this master, such as core-01. All other nodes are slaves unless `slaves` is given."""
        others = [name for name in self.nodes if name != master] if slaves is None else slaves
        return {
            "master": {"address": self.nodes[master].address},
            "slaves": [{"address": self.nodes[name].address} for name in others],
        }

    def define(self, document: Mapping[str, Any]) -> None:
        """Write the topology; it takes effect when it is applied."""
        self.etcd.keys.put(TOPOLOGY, json.dumps(document))

    def apply(self, *, force: bool = False) -> None:
        """Write the trigger; returns at once."""
        if force:
            self.etcd.keys.put(TRIGGER, "force")
        else:
            Surroundings(self.etcd.keys, self.registrator).trigger("apply")

    def environment(self) -> dict[str, str]:
        """What the scripts and redis-counter read to find this cluster."""
        return {
            "ETCD_URL": self.etcd.url,
            "ETCD_API": self.etcd.api,
            "DNS_SERVER": HOST,
            "DNS_PORT": str(self.dns_port),
            "NAMESERVERS": HOST,
            "NAMESERVERS_PORT": str(self.dns_port),
        }

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _registrator(etcd: EtcdServer, given: Mapping[str, str]) -> Registrator:
    return Registrator(
        etcd.keys,
        ttl=int(given.get("ttl", "30")),
        refresh=float(given.get("refresh", "15")),
        delay=float(given.get("delay", "1")),
    )


def _stop_all(servers: Sequence[Server]) -> None:
    with ThreadPoolExecutor(max_workers=len(servers)) as pool:
        stopping = [pool.submit(server.stop) for server in servers]
    for future in stopping:
        future.result()
