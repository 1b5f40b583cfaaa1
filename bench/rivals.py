"""What a user could pick instead: redis's own FAILOVER, a Sentinel, and the ordering of 2014."""

from pathlib import Path
from typing import ClassVar

from bench import ordering_2014
from bench.cells import HOST, SETTLED, Cell
from bench.resp import Connection
from sandbox import binaries
from sandbox.process import Process, free_port, wait_until


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
    command: ClassVar[tuple[str, ...]] = ("SENTINEL", "FAILOVER", "bench")

    def __init__(self, directory: Path, instances: int = 3) -> None:
        super().__init__(directory, instances)
        self.port = free_port()
        self._config = directory / "sentinel.conf"
        argv = [str(binaries.redis_server(self.flavour)), str(self._config.resolve()), "--sentinel"]
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
        reply = self._link.send(self.command)[0]
        if reply != "OK":
            raise RuntimeError(f"{' '.join(self.command)}: {reply}")
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
        slaves = [dict(zip(fields[::2], fields[1::2], strict=True)) for fields in self._slaves()]
        return (
            states["flags"] == "master"
            # it asks them every 10 s only; one slave that it believes in is enough for the next failover
            and any((fields["flags"], fields["master-link-status"]) == ("slave", "ok") for fields in slaves)
        )

    def _slaves(self) -> list[list[str]]:
        assert self._link is not None  # noqa: S101 - started
        slaves: list[list[str]] = self._link.send(("SENTINEL", "REPLICAS", "bench"))[0]
        return slaves


class CoordinatedFailover(SentinelFailover):
    """Valkey 9's SENTINEL FAILOVER COORDINATED, which has the old master hand over by FAILOVER."""

    name = "COORDINATED"
    command = (*SentinelFailover.command, "COORDINATED")


class Ordering2014(Cell):
    """The ordering of 2014, which this system replaces."""

    name = "2014 ordering"

    def switch(self, new: int) -> None:
        """See bench/ordering_2014.py."""
        others = [number for number in range(len(self.servers)) if number not in (self.master, new)]
        ordering_2014.switch(
            self.addresses[self.master], self.addresses[new], [self.addresses[number] for number in others]
        )
        self.master = new
