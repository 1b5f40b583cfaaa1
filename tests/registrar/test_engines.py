"""Which engines the registrar understands: each takes only the versions of the API in its own range.

The engine is a stand-in that answers as Docker does; tests/containers runs the real one.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from registrar.containers import Docker, DockerUnavailable
from registrar.settings import Settings
from sandbox.etcd import EtcdServer
from sandbox.process import Process, free_port, wait_until
from sandbox.web import LOOPBACK

OLD, CURRENT = (12, 41), (44, 52)
CONTAINER = {
    "Name": "/redis-1-node",
    "State": {"Running": True},
    "Config": {"Image": "node", "Env": None, "Labels": None},
    "NetworkSettings": {"Ports": {"6379/tcp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}]}},
}


class Engine(ThreadingHTTPServer):
    """Docker with one container. `versions`: the least and the greatest minor version of the API that it takes."""

    def __init__(self, versions: tuple[int, int], port: int = 0) -> None:
        self.versions = versions
        self.asked_for_events = 0
        super().__init__((LOOPBACK, port), Handler)
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"tcp://{LOOPBACK}:{self.server_port}"

    def answer(self, path: str) -> tuple[int, Any]:
        least, greatest = self.versions
        if path == "/version":
            return 200, {"ApiVersion": f"1.{greatest}", "MinAPIVersion": f"1.{least}"}
        version, _, asked = path.removeprefix("/v1.").partition("/")
        if not least <= int(version) <= greatest:
            return 400, {"message": f"client version 1.{version} is out of range"}
        self.asked_for_events += asked == "events"
        answers = {"containers/json": [{"Id": "a"}], "containers/a/json": CONTAINER, "events": {"Type": "container"}}
        return 200, answers[asked]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Engine)
        status, answer = self.server.answer(self.path.partition("?")[0])
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Nothing: the test's output is not its place."""


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with closing(Engine(request.param)) as engine:
        yield engine


def registrars(port: int) -> Docker:
    """What a registrar asks of the engine at this port."""
    return Docker(Settings(host_ip="10.0.0.1", docker_host=f"tcp://{LOOPBACK}:{port}"))


def names(docker: Docker) -> list[str]:
    return [container.name for container in docker.running()]


@pytest.mark.parametrize("engine", [OLD, CURRENT], indirect=True, ids=["old", "current"])
def test_lists_the_containers_of_an_engine_of_either_age(engine: Engine) -> None:
    assert names(registrars(engine.server_port)) == ["redis-1-node"]


@pytest.mark.parametrize("engine", [CURRENT], indirect=True)
def test_registers_and_follows_the_events_of_a_current_engine(engine: Engine, etcd: EtcdServer, tmp_path: Path) -> None:
    env = {"HOST_IP": "10.0.0.1", "HOST_NAME": "core-01", "ETCD_PEERS": etcd.url, "DOCKER_HOST": engine.url}
    program = Process([sys.executable, "-m", "registrar"], log=tmp_path / "registrar.log", env=env)
    program.start()
    try:
        wait_until(lambda: engine.asked_for_events >= 2, "it has followed the events, and goes on")
        wait_until(lambda: etcd.keys.get("/skydns/docker/node/core-01:redis-1-node:6379") is not None, "a record")
    finally:
        program.kill()
    assert "failed" not in program.log.read_text()


@pytest.mark.parametrize("engine", [OLD], indirect=True)
def test_goes_on_with_an_engine_that_was_upgraded(engine: Engine) -> None:
    docker = registrars(engine.server_port)
    assert names(docker) == ["redis-1-node"]
    engine.versions = CURRENT
    with pytest.raises(DockerUnavailable, match="out of range"):
        docker.running()
    assert names(docker) == ["redis-1-node"]


def test_an_engine_that_comes_up_later_is_found() -> None:
    port = free_port()
    docker = registrars(port)
    with pytest.raises(DockerUnavailable):
        docker.running()
    with closing(Engine(CURRENT, port)):
        assert names(docker) == ["redis-1-node"]
