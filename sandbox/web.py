"""HTTP for the sandbox, the tests and the benchmarks: one client, and one way to run a web service."""

import sys
from collections.abc import Iterable, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

from sandbox.process import Process, free_port
from sandbox.server import Server

LOOPBACK = "127.0.0.1"


class Answer(NamedTuple):
    """A response whose body has been read."""

    status: int
    body: str
    headers: Mapping[str, str]


def request(
    address: tuple[str, int],
    method: str,
    path: str,
    body: str | bytes | Iterable[bytes] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> Answer:
    """One request on a connection of its own. Raises OSError or http.client's HTTPException if no answer comes."""
    connection = HTTPConnection(*address, timeout=timeout)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(), dict(response.headers))
    finally:
        connection.close()


class WebServer(Server):
    """`python -m module` with BIND and PORT in its environment; ready when /healthz answers 200."""

    def __init__(
        self, module: str, log: Path, env: Mapping[str, str] | None = None, *, host: str = LOOPBACK, port: int = 0
    ) -> None:
        self.name = module
        self.host = host
        self._log = log
        self.listen(port or free_port(), env or {})

    def listen(self, port: int, env: Mapping[str, str]) -> None:
        """Set the port and the environment of the next start."""
        self.port = port
        settings = {**env, "BIND": self.host, "PORT": str(port)}
        self.process = Process([sys.executable, "-m", self.name], log=self._log, env=settings)

    @property
    def url(self) -> str:
        """The URL of its root, without the final slash."""
        return f"http://{self.host}:{self.port}"

    def answers(self) -> bool:
        """Whether /healthz answers 200."""
        try:
            return self.request("GET", "/healthz", timeout=1).status == 200
        except (OSError, HTTPException):
            return False

    def request(
        self,
        method: str,
        path: str,
        body: str | bytes | Iterable[bytes] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Answer:
        """Send one request to the service, as the module's function does."""
        return request((self.host, self.port), method, path, body, headers=headers, timeout=timeout)
