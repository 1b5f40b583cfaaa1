"""A PUT whose last byte is held back: dnsd reads the sources meanwhile, and does nothing until that byte comes."""

import re
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.client import HTTPResponse

import pytest

from sandbox.process import wait_until
from tests.dnsd.conftest import Dnsd, StartDnsd, Way

# for how long dnsd takes sources for fresh, and a little more, in seconds
STALE = 2.1
SOURCES = "GET /redis-1"


class Held:
    """A PUT to /dns of which the last byte is missing."""

    def __init__(self, dnsd: Dnsd, body: bytes, headers: Mapping[str, str]) -> None:
        self._last = body[-1:]
        self.connection = socket.create_connection((dnsd.host, dnsd.port), 30)
        lines = {"Host": "dnsd", "Topology-Held": "1", "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.connection.sendall(f"PUT /dns HTTP/1.1\r\n{head}\r\n".encode() + body[:-1])

    def complete(self) -> tuple[int, str]:
        """Sends the last byte; status and text of the answer."""
        self.connection.sendall(self._last)
        return self.answer()

    def answer(self) -> tuple[int, str]:
        """Status and text of the answer; no status if there is none."""
        response = HTTPResponse(self.connection, method="PUT")
        try:
            response.begin()
            return response.status, response.read().decode()
        except OSError:
            return 0, ""
        finally:
            response.close()

    def finish(self) -> None:
        """Says that nothing more comes."""
        self.connection.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection at once."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


Hold = Callable[..., Held]


def body_of(master: str, *slaves: str) -> bytes:
    instances = [f'{{"address": "{name}.redis-1.docker"}}' for name in (master, *slaves)]
    return f'{{"master": {instances[0]}, "slaves": [{", ".join(instances[1:])}]}}'.encode()


@pytest.fixture
def hold() -> Iterator[Hold]:
    with ExitStack() as stack:

        def begin(dnsd: Dnsd, body: bytes = body_of("core-02", "core-01"), **headers: str) -> Held:
            held = Held(dnsd, body, {name.replace("_", "-"): value for name, value in headers.items()})
            stack.callback(held.connection.close)
            return held

        yield begin


@pytest.fixture
def dnsd(way: Way, start_dnsd: StartDnsd) -> Dnsd:
    """One that has published core-01, and whose requests to etcd are known."""
    dnsd = start_dnsd(**way.env)
    assert dnsd.put("core-01", "core-02")[0] == 200
    way.requests.clear()
    return dnsd


def reads_sources(way: Way, times: int = 1) -> None:
    wait_until(lambda: way.requests.count(SOURCES) == times, "dnsd has asked for the sources", 10)


def master(dnsd: Dnsd) -> object:
    return dnsd.published()["master"]["host"]


def counted(dnsd: Dnsd) -> dict[str, int]:
    """How many PUTs were answered, by status."""
    text = dnsd.request("GET", "/metrics").body
    return {status: int(float(n)) for status, n in re.findall(r'publications_total\{status="(\d+)"\} (\S+)', text)}


@pytest.mark.parametrize("padding", [0, 5000, 500_000])
def test_the_sources_are_read_before_the_last_byte_and_not_again(
    dnsd: Dnsd, way: Way, hold: Hold, padding: int
) -> None:
    held = hold(dnsd, b" " * padding + body_of("core-02", "core-01"))
    reads_sources(way)
    assert way.requests == [SOURCES]
    assert master(dnsd) == "10.0.0.1"
    assert held.complete() == (200, "OK\n")
    assert way.requests[1:3] == ["PUT /redis-1/master", "PUT /config/redis-1/publication"]
    assert (way.requests.count(SOURCES), master(dnsd)) == (1, "10.0.0.2")


@pytest.mark.parametrize("end", [Held.finish, Held.reset, Held.answer], ids=["finish", "reset", "wait"])
def test_what_is_never_completed_is_not_published(
    dnsd: Dnsd, way: Way, hold: Hold, end: Callable[[Held], None]
) -> None:
    held = hold(dnsd)
    reads_sources(way)
    end(held)
    dnsd.logs("did nothing: the PUT was held, and not completed")
    wait_until(lambda: counted(dnsd) == {"200": 1, "499": 1}, "it is counted as given up", 10)
    assert way.requests == [SOURCES]
    assert "WARNING" not in dnsd.process.log.read_text().partition("published core-01")[2]
    assert dnsd.put("core-03", "core-01") == (200, "OK\n")


def test_sources_that_have_become_stale_are_read_again(dnsd: Dnsd, way: Way, hold: Hold) -> None:
    held = hold(dnsd)
    reads_sources(way)
    began = time.monotonic()
    dnsd.register("core-02", "10.0.0.22", 49152)
    wait_until(lambda: time.monotonic() - began > STALE, "they are stale", 10)
    assert held.complete() == (200, "OK\n")
    assert (way.requests.count(SOURCES), master(dnsd)) == (2, "10.0.0.22")


def test_an_older_topology_is_refused_though_it_was_held_first(dnsd: Dnsd, way: Way, hold: Hold) -> None:
    held = hold(dnsd, Topology_Index="6", Topology_Cluster="a")
    reads_sources(way)
    assert dnsd.put_version(7, "core-03", "core-01")[0] == 200
    status, text = held.complete()
    assert (status, text.partition(":")[0], master(dnsd)) == (409, "Outdated", "10.0.0.3")


def test_of_two_that_are_held_the_newer_is_published(dnsd: Dnsd, way: Way, hold: Hold) -> None:
    older = hold(dnsd, body_of("core-03"), Topology_Index="6", Topology_Cluster="a")
    newer = hold(dnsd, Topology_Index="7", Topology_Cluster="a")
    reads_sources(way, 2)
    assert (newer.complete()[0], older.complete()[0], master(dnsd)) == (200, 409, "10.0.0.2")


def test_an_etcd_that_fails_meanwhile_does_not_fail_it(dnsd: Dnsd, way: Way, hold: Hold) -> None:
    way.cut()
    held = hold(dnsd)
    dnsd.logs("could not get ready for a PUT: etcd failed")
    way.heal()
    assert held.complete() == (200, "OK\n")
    assert (way.requests.count(SOURCES), master(dnsd)) == (1, "10.0.0.2")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (body_of("core-02", "core-01") + b"\n", 200),
        (body_of("core-02", "core-01") + b"x", 400),
        (body_of("core-02", "core-01")[:-1] + b" ", 400),
        (body_of("core-02", "core-02"), 400),
        (body_of("core-09", "core-01"), 503),
        (body_of("core-02", "core-09"), 202),
        (b"not JSON", 400),
        (b"}", 400),
        (body_of("core-02") + b" " * (1 << 20), 413),
    ],
    ids=["line feed", "more", "no brace", "clash", "no master", "no slave", "not JSON", "brace", "too large"],
)
def test_ends_like_a_put_that_is_not_held(dnsd: Dnsd, hold: Hold, body: bytes, status: int) -> None:
    plain = dnsd.put_raw(body)
    assert dnsd.put("core-01", "core-02")[0] == 200
    assert hold(dnsd, body).complete() == plain
    assert (plain[0], master(dnsd)) == (status, "10.0.0.2" if status < 300 else "10.0.0.1")


def test_a_length_is_needed_to_hold_it(dnsd: Dnsd, way: Way) -> None:
    chunks = (chunk for chunk in [body_of("core-02")[:-1], b"}"])
    answer = dnsd.request("PUT", "/dns", chunks, headers={"Topology-Held": "1"})
    assert (answer.status, way.requests.count(SOURCES), master(dnsd)) == (200, 1, "10.0.0.2")


def test_who_has_no_token_has_nothing_read(start_dnsd: StartDnsd, way: Way, hold: Hold) -> None:
    dnsd = start_dnsd(**way.env, TOKEN="secret")
    assert hold(dnsd).complete()[0] == 401
    assert SOURCES not in way.requests
    held = hold(dnsd, Authorization="Bearer secret")
    reads_sources(way)
    assert held.complete()[0] == 200


def test_those_that_are_held_keep_nobody_waiting(dnsd: Dnsd, way: Way, hold: Hold) -> None:
    held = [hold(dnsd) for _ in range(50)]
    reads_sources(way, 50)
    assert dnsd.put("core-03", "core-01") == (200, "OK\n")
    assert {put.complete() for put in held} == {(200, "OK\n")}
    assert master(dnsd) == "10.0.0.2"
