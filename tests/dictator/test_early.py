"""The interim answers to a PUT: who asks for them learns what is about to happen, and that the new master serves."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPResponse
from pathlib import Path

import pytest

from sandbox.process import wait_until
from tests.certificates import Authority
from tests.dictator.group import Group, fill
from tests.dictator.service import Service, document
from tests.dictator.test_races import HANDOVER, At, watch
from tests.safe_redis.test_access import health

# longer than a test takes: the dictator waits for a slave that hangs
PATIENCE = 60.0
# the first CLIENT PAUSE is the rehearsal of the dictator's rights
PAUSE = 2


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    settings = {"REPLY_TIMEOUT": str(PATIENCE), "NAMESERVERS": "127.0.0.1"}
    with Service(tmp_path / "dictator.log", **settings) as made:
        yield made


class SecureService(Service):
    """Speaks https, also when it is asked for its health."""

    def answers(self) -> bool:
        """Whether it is healthy."""
        return health(self).returncode == 0


def send(
    service: Service,
    body: str,
    *,
    version: str = "1.1",
    query: str = "",
    early: str = "1",
    context: ssl.SSLContext | None = None,
) -> socket.socket:
    """Sends a PUT; the connection to read the answers from. Without `early` it doesn't ask for an interim one."""
    connection = socket.create_connection((service.host, service.port), PATIENCE)
    if context:
        connection = context.wrap_socket(connection, server_hostname="dictator")
    asks = f"Topology-Early: {early}\r\n" if early else ""
    head = f"PUT /master{query} HTTP/{version}\r\nHost: dictator\r\n{asks}Content-Length: {len(body)}\r\n\r\n"
    connection.sendall((head + body).encode())
    return connection


def answers(connection: socket.socket) -> bytes:
    """All that comes, until the server closes."""
    with closing(connection), connection.makefile("rb") as stream:
        return stream.read()


def hang(group: Group, name: str) -> None:
    """Has the instance hang as soon as the handover has begun."""
    hanging = group.servers[name].process
    watch(group, At("a", "CLIENT UNPAUSE", hanging.pause, times=HANDOVER))


def test_says_that_the_new_master_serves_while_a_slave_hangs(proxied: Group, service: Service) -> None:
    hang(proxied, "c")
    connection = send(service, document(proxied, "b", "a", "c"))
    try:
        with connection.makefile("rb") as stream:
            for hint in ("Target", "Master"):
                assert stream.readline() == b"HTTP/1.1 103 Early Hints\r\n"
                assert stream.readline() == f"Topology-{hint}: {proxied.topology('b').master}\r\n".encode()
                assert stream.readline() == b"\r\n"
            assert proxied["b"].set("key", "value"), "it takes writes"
            assert "applied master" not in service.log
            proxied.servers["c"].process.resume()
            assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
    finally:
        proxied.servers["c"].process.resume()
        connection.close()
    proxied.is_led_by("b", "a", "c")


def test_says_it_by_https_too(trio: Group, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    own = authority.issue("dictator")
    with SecureService(tmp_path / "log", TLS_CERT_FILE=own.cert, TLS_KEY_FILE=own.key) as service:
        context = ssl.create_default_context(cafile=authority.ca)
        answer = answers(send(service, document(trio, "b", "a", "c"), context=context))
    target, master, final = answer.split(b"\r\n\r\n", 2)
    assert target.startswith(b"HTTP/1.1 103 Early Hints\r\nTopology-Target: ")
    assert master.startswith(b"HTTP/1.1 103 Early Hints\r\nTopology-Master: ")
    assert final.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(("version", "early"), [("1.1", ""), ("1.1", "0"), ("1.0", "1")])
def test_gives_who_does_not_ask_one_answer_only(trio: Group, service: Service, version: str, early: str) -> None:
    connection = send(service, document(trio, "b", "a", "c"), version=version, early=early)
    with closing(connection):
        response = HTTPResponse(connection, method="PUT")
        response.begin()
        assert (response.status, response.read()) == (200, b"OK\n")
    trio.is_led_by("b", "a", "c")


@pytest.mark.parametrize("query", ["", "?dry_run=1", "?force=1"])
def test_has_nothing_to_say_early_where_no_master_changes(trio: Group, service: Service, query: str) -> None:
    answer = answers(send(service, document(trio, "a", "b", "c"), query=query))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b" 103 " not in answer


def test_a_dry_run_of_a_switch_says_nothing_early(trio: Group, service: Service) -> None:
    answer = answers(send(service, document(trio, "b", "a", "c"), query="?dry_run=1"))
    assert b"promote" in answer
    assert b" 103 " not in answer
    trio.is_led_by("a", "b", "c")


def test_says_nothing_early_where_it_refuses(group: Group, service: Service) -> None:
    group.add("a", "b")
    fill(group["a"])
    fill(group["b"])
    answer = answers(send(service, document(group, "a", "b")))
    assert answer.startswith(b"HTTP/1.1 409 ")
    assert b" 103 " not in answer


def test_says_what_is_about_to_happen_before_it_pauses_writes(proxied: Group, service: Service) -> None:
    said: list[bytes] = []
    connection = send(service, document(proxied, "b", "a", "c"))
    with closing(connection), connection.makefile("rb") as stream:
        watch(proxied, At("a", "CLIENT PAUSE", lambda: said.extend(stream.readline() for _ in range(2)), times=PAUSE))
        wait_until(lambda: "applied master" in service.log, "the topology is applied", PATIENCE)
    assert said == [b"HTTP/1.1 103 Early Hints\r\n", f"Topology-Target: {proxied.topology('b').master}\r\n".encode()]


def test_says_no_more_than_that_where_it_rolls_back(proxied: Group, service: Service) -> None:
    def write_what_the_target_does_not_get() -> None:
        proxied.proxies["a"].hush()
        proxied["a"].set("key", "value")

    watch(proxied, At("a", "CLIENT PAUSE", write_what_the_target_does_not_get, times=PAUSE))
    answer = answers(send(service, document(proxied, "b", "a", "c")))
    target, final = answer.split(b"\r\n\r\n", 1)
    assert target.startswith(b"HTTP/1.1 103 Early Hints\r\nTopology-Target: ")
    assert final.startswith(b"HTTP/1.1 504 ")
    assert "pause writes" in service.log
    assert proxied.replication("a")["role"] == "master"


def test_goes_on_where_whoever_asked_has_gone(proxied: Group, service: Service) -> None:
    connection = send(service, document(proxied, "b", "a", "c"))
    watch(proxied, At("a", "CLIENT PAUSE", lambda: reset(connection)))
    wait_until(lambda: "applied master" in service.log, "the topology is applied", PATIENCE)
    proxied.is_led_by("b", "a", "c")
    assert "could not send Topology-Master" in service.log
    assert "Traceback" not in service.log


def reset(connection: socket.socket) -> None:
    """Ends the connection so that the next write to it fails."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
