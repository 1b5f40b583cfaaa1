"""Clients that are slow on purpose, or send what is no HTTP, keep nobody else from being served."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.process import wait_until
from sandbox.web import WebServer
from tests.crowd import Crowd

GOOD = b'{"master": {"address": "a"}, "slaves": []}'


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with WebServer("tests.safe_redis.echo", tmp_path_factory.mktemp("echo") / "log", {"PYTHONPATH": "."}) as server:
        yield server


def served(echo: WebServer) -> None:
    """Whether others are served, within a time that is generous for a busy machine."""
    assert echo.request("GET", "/healthz", timeout=10).status == 200
    assert echo.request("PUT", "/echo", GOOD, timeout=10).status == 200


def test_others_are_served_beside_silent_and_dripping_clients_and_those_are_ended(echo: WebServer) -> None:
    with Crowd(echo.port, silent=500, dripping=200) as crowd:
        for _ in range(5):
            served(echo)
        wait_until(lambda: crowd.ended, "the slow ones are ended", timeout=60, interval=0.2)
        served(echo)


def test_others_are_served_beside_more_clients_than_the_server_takes(echo: WebServer) -> None:
    with Crowd(echo.port, silent=1500, dripping=0):
        served(echo)
    with Crowd(echo.port, silent=0, dripping=1500):
        served(echo)


def test_a_client_that_never_closes_holds_nobody_up(echo: WebServer) -> None:
    lingering = []
    for _ in range(50):
        connection = socket.create_connection(("127.0.0.1", echo.port), timeout=20)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        lingering.append(connection)
    served(echo)
    for connection in lingering:
        connection.close()


def test_a_client_that_reads_nothing_and_one_that_sends_no_body_hold_nobody_up(echo: WebServer) -> None:
    with socket.create_connection(("127.0.0.1", echo.port)) as connection:
        connection.sendall(b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{")
        served(echo)


MALFORMED = {
    "no_size": b"\r\n",
    "no_number": b"xyz\r\nabc\r\n0\r\n\r\n",
    "negative": b"-5\r\nabcde\r\n0\r\n\r\n",
    "too_long": b"ffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "no_end": b"3\r\nabcdef\r\n0\r\n\r\n",
    "half": b"5\r\nab",
}


@pytest.mark.parametrize("chunks", MALFORMED.values(), ids=MALFORMED)
def test_malformed_chunks_are_a_400(echo: WebServer, chunks: bytes) -> None:
    head = b"PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", echo.port), timeout=30) as connection:
        connection.sendall(head + chunks)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(1000), b""))
    assert answer.startswith(b"HTTP/1.1 400 "), answer


JUNK = (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9, b"\0" * 100, b"GET\r\n\r\n", b"*1\r\n$4\r\nPING\r\n")


def test_what_is_no_http_ends_the_connection(echo: WebServer) -> None:
    for junk in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9,
        b"\0" * 100,
        b"GET\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
    ):
        with socket.create_connection(("127.0.0.1", echo.port), timeout=30) as connection:
            connection.sendall(junk)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(1000), b""))
        assert not answer or answer.startswith(b"HTTP/1.1 4"), answer
    served(echo)


def test_silent_clients_do_not_delay_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with WebServer("tests.safe_redis.echo", log, {"PYTHONPATH": "."}) as server, Crowd(server.port, 20, 0):
        server.stop(timeout=8)
        assert server.process.returncode == 0
