"""A dictator as it is deployed: `python -m dictator`, on a free port of the loopback interface."""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from sandbox.web import LOOPBACK, Answer, WebServer
from tests.dictator.group import Group


class Service(WebServer):
    """A context manager."""

    def __init__(self, log: Path, **env: str) -> None:
        super().__init__("dictator", log, {"NAMESERVERS": LOOPBACK} | env)
        self._clients = ThreadPoolExecutor(32)

    @property
    def log(self) -> str:
        """All that it has logged."""
        return self.process.log.read_text()

    def put(self, body: str | bytes, query: str = "", accept: str = "*/*") -> Answer:
        """PUT of a document."""
        return self.request("PUT", f"/master{query}", body, headers={"Accept": accept})

    def start_put(self, body: str | bytes) -> "Future[Answer]":
        """PUT of a document by a thread of its own."""
        return self._clients.submit(self.put, body)


def document(group: Group, master: str, *slaves: str) -> str:
    """The document as an operator writes it."""
    addresses = [{"address": group.where(name).host, "port": group.where(name).port} for name in (master, *slaves)]
    return json.dumps({"master": addresses[0], "slaves": addresses[1:]})
