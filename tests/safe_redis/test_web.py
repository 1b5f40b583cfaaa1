"""The one-PUT web app under its real server: status codes, headers, and what the lines look like."""

import socket
import sys
import threading
from collections.abc import Iterator
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path

import pytest

from sandbox.process import Process, free_port, wait_until

GOOD = b'{"master": {"address": "a"}, "slaves": [{"address": "::1", "port": 7}]}'
MIB = 1 << 20


class Echo:
    """tests/safe_redis/echo.py as a process."""

    def __init__(self, log: Path, bind: str = "127.0.0.1") -> None:
        self.port = free_port()
        self.bind = bind
        env = {"PORT": str(self.port), "BIND": bind, "PYTHONPATH": "."}
        self.process = Process([sys.executable, "-m", "tests.safe_redis.echo"], log=log, env=env)

    def request(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, timeout: float = 30
    ) -> tuple[int, str]:
        """Status and text of the answer."""
        status, text, _ = self.response(method, path, body, timeout)
        return status, text

    def response(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, timeout: float = 30
    ) -> tuple[int, str, Message]:
        """Status, text and headers of the answer."""
        connection = HTTPConnection(self.bind, self.port, timeout=timeout)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read().decode(), response.headers
        finally:
            connection.close()

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return self.request("GET", "/healthz", timeout=1) == (200, "OK\n")
        except OSError:
            return False


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Echo]:
    service = Echo(tmp_path_factory.mktemp("echo") / "log")
    service.process.start()
    try:
        service.process.wait_until(service.ready, "the app answers", timeout=30)
        yield service
    finally:
        service.process.kill()


def test_hands_the_document_on(echo: Echo) -> None:
    assert echo.request("PUT", "/echo", GOOD) == (200, "a [::1]:7\n")


def test_answers_are_plain_text(echo: Echo) -> None:
    for method, path, body in (("PUT", "/echo", GOOD), ("PUT", "/echo", b""), ("GET", "/nowhere", None)):
        assert echo.response(method, path, body)[2]["Content-Type"] == "text/plain; charset=utf-8"


def test_a_malformed_document_is_a_400(echo: Echo) -> None:
    status, line = echo.request("PUT", "/echo", b"{}")
    assert status == 400
    assert line.startswith("DocumentError: Object missing required field `master`")


def test_a_put_without_a_body_is_a_400(echo: Echo) -> None:
    assert echo.request("PUT", "/echo")[0] == 400


def test_other_paths_are_a_404(echo: Echo) -> None:
    for method, path in (("GET", "/"), ("PUT", "/echo/"), ("PUT", "/other"), ("GET", "/static/x")):
        status, line = echo.request(method, path)
        assert status == 404
        assert line.startswith(f"NotFound: {method} {path}: ")


def test_other_methods_are_a_405_that_tells_what_is_allowed(echo: Echo) -> None:
    for method in ("GET", "POST", "DELETE", "PATCH", "HEAD"):
        status, _, headers = echo.response(method, "/echo", b"{}")
        assert status == 405
        assert "PUT" in headers["Allow"].split(", ")
    status, _, headers = echo.response("PUT", "/healthz", GOOD)
    assert status == 405
    assert "GET" in headers["Allow"].split(", ")


def test_a_document_of_a_mebibyte_is_read_and_a_larger_one_is_a_413(echo: Echo) -> None:
    assert echo.request("PUT", "/echo", GOOD.ljust(MIB))[0] == 200
    for size in (MIB + 1, 8 * MIB):
        status, line = echo.request("PUT", "/echo", GOOD.ljust(size))
        assert status == 413
        assert line == "RequestEntityTooLarge: the document is larger than 1048576 bytes\n"


def test_a_chunked_document_that_is_too_large_is_a_413(echo: Echo) -> None:
    assert echo.request("PUT", "/echo", iter([GOOD, b" " * (MIB - len(GOOD))]))[0] == 200
    for rest in (MIB - len(GOOD) + 1, 8 * MIB):
        assert echo.request("PUT", "/echo", iter([GOOD, b" " * rest]))[0] == 413


def test_an_error_is_one_line_with_its_class_and_status(echo: Echo) -> None:
    body = b'{"master": {"address": "refused"}, "slaves": []}'
    assert echo.request("PUT", "/echo", body) == (409, "Refused: two lines of reasons\n")


def test_an_unexpected_error_is_a_500_whose_reason_is_logged(echo: Echo) -> None:
    body = b'{"master": {"address": "broken"}, "slaves": []}'
    status, line = echo.request("PUT", "/echo", body)
    assert (status, line) == (500, "RuntimeError: an error of the service itself, see its log\n")
    wait_until(lambda: "RuntimeError: the reason stays in the log" in echo.process.log.read_text(), "it is logged")


def test_healthz_is_answered_while_requests_are_under_way(echo: Echo) -> None:
    with socket.create_connection(("127.0.0.1", echo.port)) as slow:
        slow.sendall(b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert echo.request("GET", "/healthz") == (200, "OK\n")


def test_a_request_in_flight_is_answered_after_sigterm(tmp_path: Path) -> None:
    echo = Echo(tmp_path / "log")
    echo.process.start()
    try:
        echo.process.wait_until(echo.ready, "the app answers", timeout=30)
        with socket.create_connection(("127.0.0.1", echo.port), timeout=30) as slow:
            head = f"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {len(GOOD)}\r\nExpect: 100-continue\r\n\r\n"
            slow.sendall(head.encode())
            # the server asks for the body only when a thread works on the request
            assert slow.recv(1000).startswith(b"HTTP/1.1 100")
            stopping = threading.Thread(target=echo.process.stop)
            stopping.start()
            wait_until(lambda: not echo.ready(), "it takes no new connections")
            slow.sendall(GOOD)
            answer = b"".join(iter(lambda: slow.recv(1000), b""))
            stopping.join()
        assert answer.startswith(b"HTTP/1.1 200")
        assert echo.process.returncode == 0
    finally:
        echo.process.kill()


def test_listens_on_ipv6_where_told_to(tmp_path: Path) -> None:
    echo = Echo(tmp_path / "log", bind="::1")
    echo.process.start()
    try:
        echo.process.wait_until(echo.ready, "the app answers", timeout=30)
    finally:
        echo.process.kill()
