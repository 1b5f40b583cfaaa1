"""The one-PUT web app under its real server: status codes, headers, and what the lines look like."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.process import wait_until
from sandbox.web import WebServer

GOOD = b'{"master": {"address": "a"}, "slaves": [{"address": "::1", "port": 7}]}'
MIB = 1 << 20


class Echo(WebServer):
    """tests/safe_redis/echo.py as a process."""

    def __init__(self, log: Path, host: str = "127.0.0.1") -> None:
        super().__init__("tests.safe_redis.echo", log, {"PYTHONPATH": "."}, host=host)


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Echo]:
    with Echo(tmp_path_factory.mktemp("echo") / "log") as service:
        yield service


def test_hands_the_document_on(echo: Echo) -> None:
    assert echo.request("PUT", "/echo", GOOD)[:2] == (200, "a [::1]:7\n")


def test_answers_are_plain_text(echo: Echo) -> None:
    for method, path, body in (("PUT", "/echo", GOOD), ("PUT", "/echo", b""), ("GET", "/nowhere", None)):
        assert echo.request(method, path, body).headers["Content-Type"] == "text/plain; charset=utf-8"


def test_a_malformed_document_is_a_400(echo: Echo) -> None:
    status, line, _ = echo.request("PUT", "/echo", b"{}")
    assert status == 400
    assert line.startswith("DocumentError: Object missing required field `master`")


def test_a_put_without_a_body_is_a_400(echo: Echo) -> None:
    assert echo.request("PUT", "/echo")[0] == 400


def test_other_paths_are_a_404(echo: Echo) -> None:
    for method, path in (("GET", "/"), ("PUT", "/echo/"), ("PUT", "/other"), ("GET", "/static/x")):
        status, line, _ = echo.request(method, path)
        assert status == 404
        assert line.startswith(f"NotFound: {method} {path}: ")


def test_other_methods_are_a_405_that_tells_what_is_allowed(echo: Echo) -> None:
    for method in ("GET", "POST", "DELETE", "PATCH", "HEAD"):
        status, _, headers = echo.request(method, "/echo", b"{}")
        assert status == 405
        assert "PUT" in headers["Allow"].split(", ")
    status, _, headers = echo.request("PUT", "/healthz", GOOD)
    assert status == 405
    assert "GET" in headers["Allow"].split(", ")


def test_a_document_of_a_mebibyte_is_read_and_a_larger_one_is_a_413(echo: Echo) -> None:
    assert echo.request("PUT", "/echo", GOOD.ljust(MIB))[0] == 200
    for size in (MIB + 1, 8 * MIB):
        status, line, _ = echo.request("PUT", "/echo", GOOD.ljust(size))
        assert status == 413
        assert line == "RequestEntityTooLarge: the document is larger than 1048576 bytes\n"


def test_a_chunked_document_that_is_too_large_is_a_413(echo: Echo) -> None:
    assert echo.request("PUT", "/echo", iter([GOOD, b" " * (MIB - len(GOOD))]))[0] == 200
    for rest in (MIB - len(GOOD) + 1, 8 * MIB):
        assert echo.request("PUT", "/echo", iter([GOOD, b" " * rest]))[0] == 413


def test_an_error_is_one_line_with_its_class_and_status(echo: Echo) -> None:
    body = b'{"master": {"address": "refused"}, "slaves": []}'
    assert echo.request("PUT", "/echo", body)[:2] == (409, "Refused: two lines of reasons\n")


def test_an_unexpected_error_is_a_500_whose_reason_is_logged(echo: Echo) -> None:
    body = b'{"master": {"address": "broken"}, "slaves": []}'
    status, line, _ = echo.request("PUT", "/echo", body)
    assert (status, line) == (500, "RuntimeError: an error of the service itself, see its log\n")
    wait_until(lambda: "RuntimeError: the reason stays in the log" in echo.process.log.read_text(), "it is logged")


def test_healthz_is_answered_while_requests_are_under_way(echo: Echo) -> None:
    with socket.create_connection(("127.0.0.1", echo.port)) as slow:
        slow.sendall(b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert echo.request("GET", "/healthz")[:2] == (200, "OK\n")


def test_a_request_in_flight_is_answered_after_sigterm(tmp_path: Path) -> None:
    with Echo(tmp_path / "log") as echo:
        with socket.create_connection(("127.0.0.1", echo.port), timeout=30) as slow:
            head = f"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {len(GOOD)}\r\nExpect: 100-continue\r\n\r\n"
            slow.sendall(head.encode())
            # the server asks for the body only when a thread works on the request
            assert slow.recv(1000).startswith(b"HTTP/1.1 100")
            stopping = threading.Thread(target=echo.process.stop)
            stopping.start()
            wait_until(lambda: not echo.answers(), "it takes no new connections")
            slow.sendall(GOOD)
            answer = b"".join(iter(lambda: slow.recv(1000), b""))
            stopping.join()
        assert answer.startswith(b"HTTP/1.1 200")
        assert echo.process.returncode == 0


def test_listens_on_the_ipv6_address_of_its_settings(tmp_path: Path) -> None:
    with Echo(tmp_path / "log", host="::1") as echo:
        assert echo.answers()
