"""What dnsd asks of etcd: clients look the new master up meanwhile, and etcd's time is theirs."""

import re
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from sandbox.etcd import EtcdServer
from sandbox.proxy import Conversation, Proxy
from sandbox.web import LOOPBACK
from tests.dnsd.conftest import StartDnsd

REQUEST = re.compile(rb"^([A-Z]+) /v2/keys(?:/skydns/docker)?(\S+) HTTP", re.MULTILINE)
# the sources; the publication and the master's record; the rest
ORDER = [
    "GET /redis-1",
    "PUT /config/redis-1/publication",
    "PUT /redis-1/master",
    "GET /redis-1/_tcp/_redis",
    "GET /redis-1/_tcp/_redis-slaves",
    "GET /redis-1/slaves",
    "GET /config/redis-1/publication",
    "PUT /redis-1/_tcp/_redis-master",
    "PUT /redis-1/_tcp/_redis-slaves/core-01",
    "PUT /redis-1/slaves/core-01",
    "DELETE /redis-1/_tcp/_redis-slaves/core-02?prevIndex",
    "DELETE /redis-1/slaves/core-02?prevIndex",
]


class Way(Proxy):
    """A way to etcd that keeps the requests, each without its figures."""

    def __init__(self, port: int) -> None:
        self.requests: list[str] = []
        super().__init__(port, conversation=self._conversation_of)

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


@pytest.fixture
def way(etcd: EtcdServer) -> Iterator[Way]:
    with closing(Way(etcd.port)) as way:
        yield way


def test_a_switch_asks_for_nothing_twice(way: Way, start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(TTL="3600", TTL_REFRESH="3000", ETCD_PEERS=f"http://{LOOPBACK}:{way.port}")
    assert dnsd.put("core-01", "core-02", "core-03")[0] == 200
    way.requests.clear()
    assert dnsd.put("core-02", "core-01", "core-03")[0] == 200
    assert way.requests[:3] == ORDER[:3]
    assert sorted(way.requests) == sorted(ORDER)
