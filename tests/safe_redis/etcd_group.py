"""Three members of one etcd."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox import binaries
from sandbox.keys import KeysError
from sandbox.keys_v3 import KeysV3
from sandbox.process import Process, free_port, wait_until

NAMES = ("a", "b", "c")


class Group:
    """The members' processes and URLs by name."""

    def __init__(self, directory: Path, release: str) -> None:
        peers = {name: f"http://127.0.0.1:{free_port()}" for name in NAMES}
        self.urls = {name: f"http://127.0.0.1:{free_port()}" for name in NAMES}
        self.processes = {}
        for name in NAMES:
            options = {
                "name": name,
                "data-dir": str(directory / name),
                "listen-client-urls": self.urls[name],
                "advertise-client-urls": self.urls[name],
                "listen-peer-urls": peers[name],
                "initial-advertise-peer-urls": peers[name],
                "initial-cluster": ",".join(f"{other}={url}" for other, url in peers.items()),
                "logger": "zap",
                "log-outputs": "stderr",
            }
            argv = [str(binaries.etcd(release)), *(f"--{option}={value}" for option, value in options.items())]
            self.processes[name] = Process(argv, log=directory / f"{name}.log")

    def leader(self) -> str:
        """The name of the member that leads; '' while none does."""
        for name in NAMES:
            try:
                status = KeysV3(self.urls[name]).call("maintenance/status", {})
            except KeysError:
                continue
            if status.get("leader") == status["header"]["member_id"]:
                return name
        return ""


@contextmanager
def running(directory: Path, release: str = "3.7") -> Iterator[Group]:
    """A group that has a leader."""
    group = Group(directory, release)
    try:
        for process in group.processes.values():
            process.start()
        wait_until(lambda: bool(group.leader()), "a member of etcd leads", timeout=60)
        yield group
    finally:
        for process in group.processes.values():
            process.kill()
