"""A real etcd with the v2 API, one member, in a directory of its own."""

from pathlib import Path

from sandbox import binaries
from sandbox.keys import Keys
from sandbox.process import Process, free_port
from sandbox.server import Server


class EtcdServer(Server):
    """Restarts on the same ports and data."""

    def __init__(self, directory: Path) -> None:
        self.name = "etcd"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.keys = Keys(self.url)
        peer = f"http://127.0.0.1:{free_port()}"
        directory = directory.resolve()
        options = {
            "name": "sandbox",
            "data-dir": str(directory / "data"),
            "listen-client-urls": self.url,
            "advertise-client-urls": self.url,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"sandbox={peer}",
            "enable-v2": "true",
            # The only member elects itself after this many ms; the default is a second.
            "heartbeat-interval": "10",
            "election-timeout": "100",
            "logger": "zap",
            "log-outputs": "stderr",
        }
        argv = [str(binaries.etcd()), *(f"--{name}={value}" for name, value in options.items())]
        self.process = Process(argv, log=directory / "log")

    def answers(self) -> bool:
        """Whether it has elected itself and offers the v2 API."""
        return self.keys.healthy()
