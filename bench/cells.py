"""A cell of the comparison: instances, and one way to make another of them the master; and the dictator's cell."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec

from bench.resp import Connection
from sandbox.process import wait_until
from sandbox.redis import RedisServer
from sandbox.web import WebServer

HOST = "127.0.0.1"
# as in the image of the nodes; the same for all cells
CONFIG = {"appendonly": "yes", "repl-diskless-sync-delay": "0"}
# for a comparison to go on, not part of what is measured; Sentinel turns an old master into a slave after 8 s or more
SETTLED = 60.0


class Cell(ABC):
    """Instances with one master; `master` is its place among them. A context manager that starts and stops them."""

    name: ClassVar[str]
    # an operation that takes milliseconds is repeated, so that its p99 says something
    repeats: ClassVar[int] = 1
    # the same server for all cells, one of sandbox.binaries.FLAVOURS
    flavour: ClassVar[str] = "redis-7.0"

    def __init__(self, directory: Path, instances: int = 3) -> None:
        self._directory = directory
        self.servers = tuple(
            RedisServer(directory / str(number), config=CONFIG, flavour=self.flavour) for number in range(instances)
        )
        self.links: tuple[Connection, ...] = ()
        self.master = 0

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Of the instances."""
        return tuple((server.host, server.port) for server in self.servers)

    @property
    def sentinel(self) -> tuple[str, int] | None:
        """Whom clients ask for the master's address, where they don't know it."""
        return None

    def start(self) -> None:
        """Start the instances; return when all follow the first."""
        for server in self.servers:
            server.start(wait=False)
        for server in self.servers:
            server.wait_ready()
        self.links = tuple(Connection(*address) for address in self.addresses)
        self.settle()

    def stop(self) -> None:
        """Stop what runs."""
        for link in self.links:
            link.close()
        for server in self.servers:
            server.kill()

    @abstractmethod
    def switch(self, new: int) -> None:
        """Make the instance the master, as this cell does it, and note it in `master`.

        Returns when the cell's own tool says that it is done.
        """

    def settle(self) -> None:
        """Hang all others under the master, and wait until they are in sync. Not measured."""
        for number, link in enumerate(self.links):
            if number != self.master and not self._follows(number):
                link.send(("REPLICAOF", *self.addresses[self.master]))
        wait_until(self.settled, f"{self.name}: all follow {self.master}", SETTLED)

    def settled(self) -> bool:
        """Whether all others follow the master, with its history."""
        return all(self._follows(number) for number in range(len(self.links)) if number != self.master)

    def _follows(self, number: int) -> bool:
        slave, master = self.links[number].info(), self.links[self.master].info()
        return (
            master["role"] == "master"
            and (slave.get("master_host"), slave.get("master_port")) == (HOST, str(self.addresses[self.master][1]))
            and slave["master_link_status"] == "up"
            and slave["master_replid"] == master["master_replid"]
        )

    def full_resyncs(self) -> int:
        """How many the instances have served so far."""
        return sum(int(link.info("stats")["sync_full"]) for link in self.links)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Dictator(Cell):
    """This system's dictator: PUT /master."""

    name = "dictator"
    repeats = 5

    def __init__(self, directory: Path, instances: int = 3) -> None:
        super().__init__(directory, instances)
        self.service = WebServer("dictator", directory / "dictator.log", {"NAMESERVERS": HOST})
        self.receipt: dict[str, Any] = {}

    def start(self) -> None:
        """The instances, and the service."""
        self.service.start(wait=False)
        super().start()
        self.service.wait_ready()

    def stop(self) -> None:
        """All of them."""
        self.service.kill()
        super().stop()

    def switch(self, new: int) -> None:
        """One request; its receipt is kept."""
        headers = {"Accept": "application/json"}
        status, body, _ = self.service.request("PUT", "/master", self.document(new), headers=headers)
        if status not in (200, 202):
            raise RuntimeError(f"the dictator answered {status}: {body}")
        self.receipt = msgspec.json.decode(body)
        self.master = new

    def document(self, master: int) -> bytes:
        """The topology with that master."""
        documents = [{"address": host, "port": port} for host, port in self.addresses]
        return msgspec.json.encode(
            {"master": documents[master], "slaves": documents[:master] + documents[master + 1 :]}
        )
