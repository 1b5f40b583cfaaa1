"""A real etcd, one member, in a directory of its own."""

from pathlib import Path

from sandbox import binaries
from sandbox.keys import Keys
from sandbox.keys_v3 import KeysV3
from sandbox.process import Process, free_port
from sandbox.server import Server


class EtcdServer(Server):
    """Restarts on the same ports and data. `release` is one of binaries.ETCDS, `api` what `keys` uses."""

    def __init__(self, directory: Path, *, release: str = "3.4", api: str = "v2") -> None:
        self.name = "etcd"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = api
        self.release = release
        self.keys = KeysV3(self.url) if api == "v3" else Keys(self.url)
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
            # The only member elects itself after this many milliseconds; the default is 1000.
            "heartbeat-interval": "10",
            "election-timeout": "100",
            "logger": "zap",
            "log-outputs": "stderr",
        }
        if api == "v2":
            options["enable-v2"] = "true"
        argv = [str(binaries.etcd(release)), *(f"--{name}={value}" for name, value in options.items())]
        self.process = Process(argv, log=directory / "log")

    def answers(self) -> bool:
        """Whether it has elected itself and offers its API."""
        return self.keys.healthy()
