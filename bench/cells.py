"""The cells of the comparison: three instances each, and one way to make another of them the master."""

import sys
from abc import ABC, abstractmethod
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec

from bench import ordering_2014
from bench.resp import Connection
from sandbox.process import Process, free_port, wait_until
from sandbox.redis import RedisServer

HOST = "127.0.0.1"
# as in the image of the nodes; the same for all cells
CONFIG = {"appendonly": "yes", "repl-diskless-sync-delay": "0"}
# for a comparison to go on, not part of what is measured; Sentinel turns an old master into a slave after 8 s or more
SETTLED = 60.0
# the floor asks each instance so many times first: after the steps before its pause, the dictator finds them awake, too
WARMED = 20


class Cell(ABC):
    """Instances with one master; `master` is its place among them. A context manager that starts and stops them."""

    name: ClassVar[str]
    # an operation that takes milliseconds is repeated, so that its p99 says something
    repeats: ClassVar[int] = 1

    def __init__(self, directory: Path, instances: int = 3) -> None:
        self._directory = directory
        self.servers = tuple(RedisServer(directory / str(number), config=CONFIG) for number in range(instances))
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
        found, wanted = self.links[number].info(), self.links[self.master].info()
        return (
            wanted["role"] == "master"
            and (found.get("master_host"), found.get("master_port")) == (HOST, str(self.addresses[self.master][1]))
            and found["master_link_status"] == "up"
            and found["master_replid"] == wanted["master_replid"]
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
        self.port = free_port()
        env = {"BIND": HOST, "PORT": str(self.port), "NAMESERVERS": HOST}
        self.process = Process([sys.executable, "-m", "dictator"], log=directory / "dictator.log", env=env)
        self.receipt: dict[str, Any] = {}

    def start(self) -> None:
        """The instances, and the service."""
        self.process.start()
        super().start()
        self.process.wait_until(self._answers, "the dictator answers", 20)

    def stop(self) -> None:
        """All of them."""
        self.process.kill()
        super().stop()

    def switch(self, new: int) -> None:
        """One request; its receipt is kept."""
        status, body = self._request("PUT", "/master", self.document(new))
        if status not in (200, 202):
            raise RuntimeError(f"the dictator answered {status}: {body.decode()}")
        self.receipt = msgspec.json.decode(body)
        self.master = new

    def document(self, master: int) -> bytes:
        """The topology with that master."""
        found = [{"address": host, "port": port} for host, port in self.addresses]
        return msgspec.json.encode({"master": found[master], "slaves": found[:master] + found[master + 1 :]})

    def _request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        connection = HTTPConnection(HOST, self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Accept": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _answers(self) -> bool:
        try:
            return self._request("GET", "/healthz")[0] == 200
        except OSError:
            return False


class Floor(Cell):
    """The bare sequence from one script: pause, drain, fence, drain, promote, hand over. No service and no check."""

    name = "floor"
    repeats = 5

    def switch(self, new: int) -> None:
        """Roles go to disk at both, as the dictator has them before a client can write."""
        old, target = self.links[self.master], self.links[new]
        for _ in range(WARMED):
            for link in self.links:
                link.info()
        _, info = old.send(("CLIENT", "PAUSE", 2000, "WRITE"), ("INFO", "replication"))
        _drain(target, info)
        *_, info = old.send(("REPLICAOF", HOST, 0), ("CONFIG", "REWRITE"), ("INFO", "replication"))
        _drain(target, info)
        target.send(("REPLICAOF", "NO", "ONE"), ("CONFIG", "REWRITE"))
        old.send(("CLIENT", "UNPAUSE"))
        old.send(("REPLICAOF", *self.addresses[new]), ("CONFIG", "REWRITE"))
        for number, link in enumerate(self.links):
            if number not in (self.master, new):
                link.send(("REPLICAOF", *self.addresses[new]), ("CONFIG", "REWRITE"))
        self.master = new


def _drain(target: Connection, info: str) -> None:
    offset = int(_field(info, "master_repl_offset"))
    while int(target.info()["slave_repl_offset"]) < offset:
        pass


def _field(info: str, name: str) -> str:
    return next(line.partition(":")[2] for line in info.splitlines() if line.startswith(f"{name}:"))


class FailoverTo(Cell):
    """Redis's own FAILOVER TO, at the master."""

    name = "FAILOVER TO"

    def switch(self, new: int) -> None:
        """Ask for it, and ask until it is over."""
        link = self.links[self.master]
        link.send(("FAILOVER", "TO", *self.addresses[new]))
        wait_until(lambda: link.info()["role"] == "slave", "the failover is over", 30, 0.001)
        self.master = new


class SentinelFailover(Cell):
    """SENTINEL FAILOVER with one Sentinel, which chooses the new master; clients follow +switch-master."""

    name = "SENTINEL FAILOVER"

    def __init__(self, directory: Path, instances: int = 3) -> None:
        super().__init__(directory, instances)
        self.port = free_port()
        self._config = directory / "sentinel.conf"
        argv = ["/usr/bin/redis-server", str(self._config.resolve()), "--sentinel"]
        self.process = Process(argv, log=directory / "sentinel.log")
        self._link: Connection | None = None

    @property
    def sentinel(self) -> tuple[str, int]:
        """The Sentinel's address."""
        return HOST, self.port

    def start(self) -> None:
        """The instances, and the Sentinel; return when it knows them all."""
        super().start()
        self._config.write_text(
            f"bind {HOST}\nport {self.port}\n"
            f"sentinel monitor bench {HOST} {self.addresses[0][1]} 1\n"
            # nothing fails here, and a busy machine must not make it believe so
            "sentinel down-after-milliseconds bench 60000\n"
            "sentinel failover-timeout bench 20000\n",
            encoding="ascii",
        )
        self.process.start()
        self.process.wait_until(self._listens, "the Sentinel answers", 20)
        self.settle()

    def _listens(self) -> bool:
        try:
            self._link = Connection(HOST, self.port)
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """All of them."""
        self.process.kill()
        super().stop()

    def switch(self, new: int) -> None:  # noqa: ARG002 - the Sentinel chooses
        """Ask for it, and wait for the news as a client does."""
        assert self._link is not None  # noqa: S101 - started
        news = Connection(HOST, self.port)
        news.send(("SUBSCRIBE", "+switch-master"))
        self._link.send(("SENTINEL", "FAILOVER", "bench"))
        _, _, text = news.receive()
        news.close()
        self.master = self.addresses.index((HOST, int(text.split()[4])))

    def settle(self) -> None:
        """Until the Sentinel has made slaves of all others, and knows it. The instances are the Sentinel's own."""
        if self._link is None:
            super().settle()
        else:
            wait_until(lambda: self.settled() and self._known(), "the Sentinel is done", SETTLED, 0.05)

    def settled(self) -> bool:
        """As of any cell; the Sentinel cuts every connection to an instance whose role it changes."""
        try:
            return super().settled()
        except ConnectionError:
            for link in self.links:
                link.close()
            self.links = tuple(Connection(*address) for address in self.addresses)
            return False

    def _known(self) -> bool:
        assert self._link is not None  # noqa: S101 - started
        flags = self._link.send(("SENTINEL", "MASTER", "bench"))[0]
        states = dict(zip(flags[::2], flags[1::2], strict=True))
        slaves = [dict(zip(each[::2], each[1::2], strict=True)) for each in self._slaves()]
        return (
            states["flags"] == "master"
            # it asks them every 10 s only; one slave that it believes in is enough for the next failover
            and any((each["flags"], each["master-link-status"]) == ("slave", "ok") for each in slaves)
        )

    def _slaves(self) -> list[list[str]]:
        assert self._link is not None  # noqa: S101 - started
        slaves: list[list[str]] = self._link.send(("SENTINEL", "REPLICAS", "bench"))[0]
        return slaves


class Ordering2014(Cell):
    """The ordering of 2014, which this system replaces."""

    name = "2014 ordering"

    def switch(self, new: int) -> None:
        """See bench/ordering_2014.py."""
        others = [number for number in range(len(self.servers)) if number not in (self.master, new)]
        ordering_2014.switch(
            self.addresses[self.master], self.addresses[new], [self.addresses[each] for each in others]
        )
        self.master = new


CELLS: tuple[type[Cell], ...] = (Dictator, Floor, FailoverTo, SentinelFailover, Ordering2014)
