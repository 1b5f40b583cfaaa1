"""A dnsd on a real etcd, with records as registrator writes them."""

import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from dnsd.records import NO_SERVICE
from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from sandbox.proxy import Conversation, Proxy
from sandbox.web import LOOPBACK, WebServer, request

DOMAIN = "/skydns/docker/redis-1"


class Dnsd(WebServer):
    """A dnsd that publishes under redis-1.docker, and what its tests ask of it and of its etcd."""

    def __init__(self, etcd: EtcdServer, log: Path, **env: str) -> None:
        self.etcd = etcd
        settings = {"PUBLISH_DOMAIN": "redis-1.docker", "ETCD_PEERS": etcd.url, "LOG_LEVEL": "DEBUG"}
        super().__init__("dnsd", log, settings | env)

    def put(self, master: Any, *slaves: Any) -> tuple[int, str]:
        """PUT a topology; each instance is a host of redis-1.docker, or an object."""
        return self.put_raw(_document(master, *slaves))

    def put_version(self, index: int, master: Any, *slaves: Any, cluster: str = "a") -> tuple[int, str]:
        """PUT a topology as the observer does, with etcd's index of it."""
        headers = {"Topology-Index": str(index), "Topology-Cluster": cluster}
        return self.put_raw(_document(master, *slaves), headers)

    def put_raw(self, body: str | bytes, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """PUT a body as it is."""
        return self.request("PUT", "/dns", body, headers=headers)[:2]

    def register(self, host: str, address: str, port: int) -> None:
        """Write a node's record as registrator does."""
        self.etcd.keys.put(f"{DOMAIN}/{host}", json.dumps({"host": address, "port": port}))

    def clear(self) -> None:
        """Delete every record, whoever wrote it."""
        answer = request((LOOPBACK, self.etcd.port), "DELETE", "/v2/keys/skydns?recursive=true")
        assert answer.status in {200, 404}, answer.body

    def published(self) -> dict[str, Any]:
        """Host and port at `master` and below `slaves` right now; a placeholder, which leads nowhere, is left out."""
        values = {"master": self.etcd.keys.get(f"{DOMAIN}/master")}
        for node in (self.etcd.keys.node(f"{DOMAIN}/slaves") or {}).get("nodes", []):
            values["slaves/" + node["key"].rpartition("/")[2]] = node.get("value")
        records = {name: json.loads(value) for name, value in values.items() if value not in {None, NO_SERVICE}}
        return {name: {"host": record["host"], "port": record["port"]} for name, record in records.items()}

    def index(self, name: str) -> int:
        """The modifiedIndex of a published record; 0 where there is none."""
        node = self.etcd.keys.node(f"{DOMAIN}/{name}")
        return 0 if node is None else int(node["modifiedIndex"])

    def logs(self, text: str) -> None:
        """Wait until its log holds `text`."""
        log = self.process.log
        wait_until(lambda: log.exists() and text in log.read_text(), f"dnsd's log holds {text!r}", timeout=20)


REQUEST = re.compile(rb"^([A-Z]+) /v2/keys(?:/skydns/docker)?(\S+) HTTP", re.MULTILINE)


class Way(Proxy):
    """A way to etcd that keeps the requests, each without its figures."""

    def __init__(self, port: int) -> None:
        self.requests: list[str] = []
        super().__init__(port, conversation=self._conversation_of)

    @property
    def env(self) -> dict[str, str]:
        """The environment of a dnsd that takes this way, and refreshes nothing within a test."""
        return {"ETCD_PEERS": f"http://{self.host}:{self.port}", "TTL": "3600", "TTL_REFRESH": "3000"}

    def _conversation_of(self, client: socket.socket, server: socket.socket) -> Conversation:
        return _Recorded(client, server, self)


class _Recorded(Conversation):
    def __init__(self, client: socket.socket, server: socket.socket, way: Way) -> None:
        super().__init__(client, server)
        self._way = way

    def request(self, chunk: bytes) -> bytes:
        for method, key in REQUEST.findall(chunk):
            self._way.requests.append(f"{method.decode()} {key.decode().partition('=')[0]}")
        return chunk


StartDnsd = Callable[..., Dnsd]


def _document(master: Any, *slaves: Any) -> str:
    return json.dumps({"master": _instance(master), "slaves": [_instance(slave) for slave in slaves]})


def _instance(given: Any) -> Any:
    return {"address": f"{given}.redis-1.docker"} if isinstance(given, str) else given


@pytest.fixture
def start_dnsd(etcd: EtcdServer, tmp_path: Path) -> Iterator[StartDnsd]:
    """Starts a dnsd on the etcd with three nodes registered; environment by keywords."""
    with ExitStack() as stack:

        def start(*, wait: bool = True, log: str = "dnsd.log", **env: str) -> Dnsd:
            service = Dnsd(etcd, tmp_path / log, **env)
            stack.callback(service.kill)
            if etcd.running:
                for number in (1, 2, 3):
                    service.register(f"core-0{number}", f"10.0.0.{number}", 49150 + number)
            service.start(wait=wait)
            return service

        yield start


@pytest.fixture
def dnsd(start_dnsd: StartDnsd) -> Dnsd:
    return start_dnsd()


@pytest.fixture
def way(etcd: EtcdServer) -> Iterator[Way]:
    with closing(Way(etcd.port)) as way:
        yield way
