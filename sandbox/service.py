"""The three services as processes, started as their containers are."""

import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from sandbox.process import Process, ProcessError, free_port
from sandbox.server import Server
from sandbox.unit import HOST, Surroundings, Unit


class WebService(Unit):
    """The dictator or dnsd: `python -m name` with `env`, registered as redis-1-name."""

    def __init__(self, name: str, directory: Path, around: Surroundings) -> None:
        service = f"redis-1-{name}"
        super().__init__(name, service, f"sandbox:{service}:8080", around)
        self.env: dict[str, str] = {}
        self._log = directory / "log"
        self.renew()

    @property
    def url(self) -> str:
        """Of the latest start."""
        return f"http://{HOST}:{self.port}"

    def renew(self) -> None:
        """A new port to listen on."""
        self.port = free_port()
        env = self.env | {"BIND": HOST, "PORT": str(self.port)}
        self.process = Process([sys.executable, "-m", self.name], log=self._log, env=env)

    def answers(self) -> bool:
        """Whether it says that it is well."""
        try:
            return self.request("GET", "/healthz", timeout=1)[0] == 200
        except (OSError, HTTPException):
            return False

    def request(
        self,
        method: str,
        path: str,
        body: str | bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> tuple[int, str]:
        """Status and body of its answer; raises what http.client raises where none comes."""
        connection = HTTPConnection(HOST, self.port, timeout=timeout)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


class Observer(Server):
    """The observer, with `env`. It listens nowhere: it is ready when its log says what it does."""

    def __init__(self, directory: Path) -> None:
        self.name = "observer"
        self.env: dict[str, str] = {}
        self._log = directory / "log"
        self._logged = 0
        self.process = self._process()

    def _process(self) -> Process:
        argv = [sys.executable, "-m", "topology_observer"]
        return Process(argv, log=self._log, env=self.env)

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait`, return once it has begun its work."""
        if self.running:
            raise ProcessError(f"{self.name} is running already")
        self._logged = self._log.stat().st_size if self._log.exists() else 0
        self.process = self._process()
        super().start(wait=wait)

    def answers(self) -> bool:
        """Whether it has logged since its latest start."""
        return self._log.stat().st_size > self._logged
