"""The three services as processes, with the environment that their containers get."""

import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.process import Process, ProcessError, free_port
from sandbox.server import Server
from sandbox.unit import Surroundings, Unit
from sandbox.web import Answer, WebServer


class WebService(Unit):
    """The dictator or dnsd: `python -m name` with `env`, registered as redis-1-name."""

    def __init__(self, name: str, directory: Path, around: Surroundings) -> None:
        service = f"redis-1-{name}"
        super().__init__(name, service, f"sandbox:{service}:8080", around)
        self.env: dict[str, str] = {}
        self._web = WebServer(name, directory / "log")
        self.renew()

    @property
    def url(self) -> str:
        """The URL of the latest start."""
        return self._web.url

    def renew(self) -> None:
        """Give the next start a new port and the environment as it is now."""
        self.port = free_port()
        self._web.listen(self.port, self.env)
        self.process = self._web.process

    def answers(self) -> bool:
        """Whether /healthz answers 200."""
        return self._web.answers()

    def request(
        self,
        method: str,
        path: str,
        body: str | bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Answer:
        """See sandbox.web.request."""
        return self._web.request(method, path, body, headers=headers, timeout=timeout)


class Observer(Server):
    """The observer, with `env`. It listens on no port; it is ready when it has written to its log."""

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
        """Start it; with `wait`, return once it has logged something."""
        if self.running:
            raise ProcessError(f"{self.name} is running already")
        self._logged = self._log.stat().st_size if self._log.exists() else 0
        self.process = self._process()
        super().start(wait=wait)

    def answers(self) -> bool:
        """Whether it has logged anything since its latest start."""
        return self._log.stat().st_size > self._logged
