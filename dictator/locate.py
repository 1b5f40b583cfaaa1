"""Finds the instances of a topology: by their addresses, or by one SRV record of their names."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from dictator.instance import Instance
from dictator.observation import Skipped
from dictator.settings import Settings
from safe_redis.errors import Unresolved
from safe_redis.srv import Resolver
from safe_redis.topology import Address, Topology, names_one_host


class Locator:
    """Asks the name servers of the settings, by the threads of the pool. Thread-safe."""

    def __init__(self, settings: Settings, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._resolver = Resolver(
            settings.nameservers, settings.nameservers_port, settings.searchlist, settings.resolve_timeout
        )

    def check(self) -> None:
        """Unresolved where no name server answers."""
        self._resolver.check()

    def resolve(self, topology: Topology) -> tuple[Instance, tuple[Instance, ...], tuple[Skipped, ...]]:
        """Where the wanted master and its slaves listen, and which can't be found; Unresolved for the master."""
        master, *slaves = self.find_all(topology.instances)
        if isinstance(master, Skipped):
            raise Unresolved(f"the wanted master can't be found: {master.reason}")
        located = tuple(slave for slave in slaves if isinstance(slave, Instance))
        return master, located, tuple(slave for slave in slaves if isinstance(slave, Skipped))

    def find_all(self, addresses: Sequence[Address]) -> list[Instance | Skipped]:
        """All of them, in their order; names are looked up in parallel."""
        names = [address for address in addresses if not address.is_ip]
        looked_up = dict(zip(names, self._pool.map(self._find, names), strict=True))
        return [looked_up.get(address) or self._find(address) for address in addresses]

    def _find(self, address: Address) -> Instance | Skipped:
        """Where it listens. Several records of one name are refused: one is stale, and may lead to another's data."""
        name = str(address)
        if address.is_ip:
            return Instance(name, address.address, address.port_or_default)
        try:
            endpoints = self._resolver.endpoints(address.address)
        except Unresolved as error:
            return Skipped(name, str(error))
        places = sorted({(endpoint.host, address.port or endpoint.port) for endpoint in endpoints})
        if len(places) > 1:
            listed = ", ".join(str(Instance(host, host, port)) for host, port in places)
            return Skipped(name, f"has {len(places)} SRV records with different addresses: {listed}; one is stale")
        (host, port) = places[0]
        if not names_one_host(host):
            return Skipped(name, f"its SRV record leads to {host}, which is not the address of one host")
        return Instance(name, host, port)
