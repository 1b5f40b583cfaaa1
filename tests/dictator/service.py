"""A dictator as it is deployed: `python -m dictator`, on a free port of the loopback interface."""

import json
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from sandbox.process import Process, free_port
from sandbox.server import Server
from tests.dictator.group import Group


class Answer(NamedTuple):
    """What it says."""

    status: int
    body: str
    headers: Mapping[str, str]


class Service(Server):
    """A context manager."""

    def __init__(self, log: Path, **env: str) -> None:
        self.name = "dictator"
        self.port = free_port()
        self._clients = ThreadPoolExecutor(32)
        listen = {"BIND": "127.0.0.1", "PORT": str(self.port), "NAMESERVERS": "127.0.0.1"}
        self.process = Process([sys.executable, "-m", "dictator"], log=log, env=listen | env)

    @property
    def log(self) -> str:
        """All that it has logged."""
        return self.process.log.read_text()

    def answers(self) -> bool:
        """Whether its web app answers."""
        try:
            return self.request("GET", "/healthz").status == 200
        except OSError:
            return False

    def request(
        self, method: str, path: str, body: str | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Its answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(), dict(response.headers))
        finally:
            connection.close()

    def put(self, body: str | bytes, query: str = "", accept: str = "*/*") -> Answer:
        """PUT of a document."""
        return self.request("PUT", f"/master{query}", body, {"Accept": accept})

    def start_put(self, body: str | bytes) -> "Future[Answer]":
        """PUT of a document by a thread of its own."""
        return self._clients.submit(self.put, body)


def document(group: Group, master: str, *slaves: str) -> str:
    """The document as an operator writes it."""
    told = [{"address": group.where(name).host, "port": group.where(name).port} for name in (master, *slaves)]
    return json.dumps({"master": told[0], "slaves": told[1:]})
