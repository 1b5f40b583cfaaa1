"""HAProxy with the configuration that docs/clients.md shows, on this machine's ports."""

import shutil
import socket
from pathlib import Path

from sandbox.binaries import MissingBinaryError
from sandbox.process import ROOT, Process, free_port
from sandbox.server import Server


def configuration() -> str:
    """As the page has it."""
    page = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
    return page.partition("```haproxy\n")[2].partition("```\n")[0]


class HaProxy(Server):
    """A context manager."""

    def __init__(self, directory: Path, nameserver: str) -> None:
        program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            raise MissingBinaryError("haproxy is missing: sh scripts/setup.sh test")
        self.name = "haproxy"
        self.port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        text = (
            configuration().replace("172.17.8.101:53", nameserver).replace("127.0.0.1:6379", f"127.0.0.1:{self.port}")
        )
        (directory / "haproxy.cfg").write_text(text)
        self.process = Process([program, "-db", "-f", str(directory / "haproxy.cfg")], log=directory / "haproxy.log")

    def answers(self) -> bool:
        """Whether a master answers behind it."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64) == b"+PONG\r\n"
        except OSError:
            return False
