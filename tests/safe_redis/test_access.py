"""Who may PUT: a token, and certificates of both sides. The health check of the container works with each."""

import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from sandbox.process import ROOT, wait_until
from sandbox.web import WebServer
from tests.certificates import Authority, Certificate
from tests.crowd import Crowd

BODY = b'{"master": {"address": "a"}, "slaves": []}'
TOKEN = "correct-horse"


class TlsServer(WebServer):
    """Ready when it takes connections: not everybody is answered."""

    def answers(self) -> bool:
        return "Traceback" in self.process.log.read_text() or health(self).returncode == 0


Start = Callable[..., WebServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the echo service with this environment."""
    with ExitStack() as stack:

        def start(**env: str) -> WebServer:
            kind = TlsServer if "TLS_CERT_FILE" in env else WebServer
            server = kind("tests.safe_redis.echo", tmp_path / "log", {"PYTHONPATH": ".", **env})
            return stack.enter_context(server)

        yield start


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def health(server: WebServer) -> "subprocess.CompletedProcess[str]":
    """The health check of its container."""
    return subprocess.run(
        [sys.executable, "-m", "safe_redis.health"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **server.process.env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def put_by_tls(server: WebServer, ca: str, own: Certificate | None = None) -> int:
    """The status of a PUT by https, with a certificate of our own or without one."""
    context = ssl.create_default_context(cafile=ca)
    if own:
        context.load_cert_chain(own.cert, own.key)
    connection = HTTPSConnection("127.0.0.1", server.port, timeout=20, context=context)
    try:
        connection.request("PUT", "/echo", BODY)
        return connection.getresponse().status
    finally:
        connection.close()


def test_only_the_right_token_may_put(start: Start) -> None:
    server = start(TOKEN=TOKEN)
    assert server.request("PUT", "/echo", BODY, headers=bearer(TOKEN)).status == 200
    assert server.request("PUT", "/echo", BODY, headers={"Authorization": f"bearer {TOKEN}"}).status == 200
    wrong = ["Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer correct-hörse"]
    for headers in ({}, *({"Authorization": value.encode().decode("latin-1")} for value in wrong)):
        answer = server.request("PUT", "/echo", BODY, headers=headers)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.body.startswith("Unauthorized: ")
        assert TOKEN not in answer.body
    assert server.request("PUT", "/echo", b"x" * (8 << 20)).status == 401, "also of a large document"
    assert server.request("GET", "/healthz").status == 200
    assert TOKEN not in server.process.log.read_text()


def test_the_token_may_be_in_a_file_and_change(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    server = start(TOKEN_FILE=str(file))
    assert server.request("PUT", "/echo", BODY, headers=bearer("old")).status == 200
    file.write_text("new\n")
    assert server.request("PUT", "/echo", BODY, headers=bearer("old")).status == 401
    assert server.request("PUT", "/echo", BODY, headers=bearer("new")).status == 200
    file.unlink()
    answer = server.request("PUT", "/echo", BODY, headers=bearer("new"))
    assert answer.status == 503, "nobody may PUT while it is missing"
    assert "TOKEN_FILE=" in answer.body


def test_a_service_without_a_token_warns(start: Start) -> None:
    server = start()
    assert "TOKEN is not set: whoever reaches port" in server.process.log.read_text()
    assert server.request("PUT", "/echo", BODY).status == 200


def test_serves_by_https(start: Start, authority: Authority) -> None:
    own = authority.issue("echo")
    server = start(TLS_CERT_FILE=own.cert, TLS_KEY_FILE=own.key)
    assert put_by_tls(server, authority.ca) == 200
    assert health(server).returncode == 0


def test_asks_for_a_certificate_of_the_clients_ca(start: Start, authority: Authority, tmp_path: Path) -> None:
    own = authority.issue("echo")
    clients, strangers = Authority(tmp_path / "clients"), Authority(tmp_path / "strangers")
    server = start(TLS_CERT_FILE=own.cert, TLS_KEY_FILE=own.key, TLS_CLIENT_CA_FILE=clients.ca)
    assert put_by_tls(server, authority.ca, clients.issue("observer")) == 200
    refused = {
        "missing": None,
        "of another CA": strangers.issue("stranger"),
        "expired": clients.issue("former", expired=True),
    }
    for what, certificate in refused.items():
        with pytest.raises((ssl.SSLError, ConnectionError)):
            pytest.fail(f"{what}: {put_by_tls(server, authority.ca, certificate)}")
    assert health(server).returncode == 0, "it has no certificate, and tells life all the same"


def test_the_health_check_tells_what_is_wrong(start: Start) -> None:
    server = start()
    assert health(server).returncode == 0
    server.stop()
    dead = health(server)
    assert dead.returncode == 1
    assert f"127.0.0.1:{server.port}" in dead.stderr


def test_silent_clients_hold_nobody_up_by_tls_either(start: Start, authority: Authority) -> None:
    own = authority.issue("echo")
    server = start(TLS_CERT_FILE=own.cert, TLS_KEY_FILE=own.key)
    with Crowd(server.port, silent=300, dripping=100) as crowd:
        assert put_by_tls(server, authority.ca) == 200
        wait_until(lambda: crowd.ended, "the slow ones are ended", timeout=60, interval=0.2)
        assert put_by_tls(server, authority.ca) == 200
