"""An observer on a real etcd, and real HTTP receivers that record what they get."""

import json
import queue
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import pytest

from sandbox.etcd import EtcdServer
from sandbox.process import Process, free_port, wait_until

TRIGGER = "/config/redis-1/topology-trigger"
TOPOLOGY = "/config/redis-1/topology"


@dataclass(frozen=True)
class Put:
    """A PUT as a receiver got it."""

    target: str
    body: str
    headers: Mapping[str, str]

    @property
    def version(self) -> tuple[str, int]:
        """The life of etcd and its index of the document, by the headers."""
        return self.headers["Topology-Cluster"], int(self.headers["Topology-Index"])

    @property
    def name(self) -> str:
        """The master of the topology in it."""
        return str(json.loads(self.body)["master"]["address"])


@dataclass(frozen=True)
class Reply:
    """What a receiver answers; status 0 closes the connection without an answer."""

    status: int
    line: str = "OK"
    headers: Mapping[str, str] = field(default_factory=dict)
    # is sent before, a piece at a time, as it is
    early: Iterable[bytes] = ()


class QuietServer(ThreadingHTTPServer):
    """A client that breaks a connection is no finding."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Not even a traceback."""


class Receiver:
    """Answers PUTs with what the test has told it to, else 200; may hold its answers back."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.port = free_port()
        self._tls = tls
        self.puts: list[Put] = []
        # how many have begun, how many of them their sender has reset before they were complete, and how many bytes
        # the last one lacks
        self.begun = 0
        self.reset = 0
        self.missing = 0
        self.answers: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self.go_on = threading.Event()
        self.go_on.set()
        self._server: ThreadingHTTPServer | None = None

    def url(self, path: str = "/master") -> str:
        """Where it listens, with the port."""
        return f"http://127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        """Listen; what was recorded stays."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def setup(self) -> None:
                if receiver._tls is not None:
                    # in the connection's own thread, so that one that fails ends no other
                    self.request = receiver._tls.wrap_socket(self.request, server_side=True)
                super().setup()

            def finish(self) -> None:
                with closing(self.request):
                    super().finish()

            def do_PUT(self) -> None:
                receiver.handle(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
                """Nothing: the test's output is not its place."""

        server = QuietServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        self._server = server
        # shutdown() waits for the poll; half a second is its default
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """Record a PUT and answer it."""
        body = self._body(handler.rfile, int(handler.headers["Content-Length"])).decode()
        try:
            reply = self.answers.get_nowait()
        except queue.Empty:
            reply = Reply(200)
        self.puts.append(Put(handler.path, body, dict(handler.headers)))
        for piece in reply.early:
            handler.wfile.write(piece)
        self.go_on.wait(60)
        if not reply.status:
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        handler.send_response(reply.status)
        line = f"{reply.line}\n".encode()
        headers = {"Location": "/elsewhere", "Content-Length": str(len(line)), **reply.headers}
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(line)

    def _body(self, stream: BufferedIOBase, length: int) -> bytes:
        """As much as comes of so many bytes: like many a receiver, it doesn't look whether that is all."""
        body = b""
        self.missing = length
        self.begun += 1
        try:
            while len(body) < length and (chunk := stream.read1(length - len(body))):
                body += chunk
                self.missing = length - len(body)
        except ConnectionResetError:
            self.reset += 1
            raise
        return body

    def stop(self) -> None:
        """Stop listening."""
        self.go_on.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def will_answer(self, *statuses: int) -> None:
        """What to answer to the next PUTs."""
        for status in statuses:
            self.will_reply(Reply(status))

    def will_reply(self, reply: Reply) -> None:
        """What to answer to the next PUT."""
        self.answers.put(reply)

    def holds(self, count: int = 1) -> None:
        """Wait until as many PUTs have begun, and the last one lacks one byte."""
        wait_until(lambda: self.begun >= count and self.missing == 1, f"PUT {count} lacks one byte", 10)

    def got(self, count: int = 1, timeout: float = 10) -> list[Put]:
        """Wait for as many PUTs; those that it has then."""
        wait_until(lambda: len(self.puts) >= count, f"{count} PUTs, has {len(self.puts)}", timeout)
        return list(self.puts)


class Observer(Process):
    """An observer of the trigger and the topology, with short pauses."""

    def __init__(self, etcd_url: str, receivers: str, log: Path, **env: str) -> None:
        settings = {
            "ETCD_MACHINES": etcd_url,
            "TRIGGER": TRIGGER,
            "READ": TOPOLOGY,
            "NOTIFIES": receivers,
            "RETRY_FIRST": "0.05",
            "RETRY_MAX": "0.1",
            # what is repeated is logged at this level
            "LOG_LEVEL": "DEBUG",
        }
        super().__init__([sys.executable, "-m", "topology_observer"], log=log, env=settings | env)

    def says(self, text: str, times: int = 1) -> None:
        """Wait until its log holds the text that often."""
        self.wait_until(lambda: self.count(text) >= times, f"its log holds {text!r} {times} times")

    def count(self, text: str) -> int:
        """How often its log holds the text."""
        return self.log.read_text().count(text) if self.log.exists() else 0


class Config:
    """What an operator writes into etcd."""

    def __init__(self, etcd: EtcdServer) -> None:
        self._keys = etcd.keys

    def define(self, master: str) -> str:
        """Define a topology; its text."""
        text = json.dumps({"master": {"address": master}, "slaves": []})
        self._keys.put(TOPOLOGY, text)
        return text

    def trigger(self, value: str = "operator") -> None:
        """Write the trigger."""
        self._keys.put(TRIGGER, value)


StartObserver = Callable[..., Observer]


@pytest.fixture
def config(etcd: EtcdServer) -> Config:
    return Config(etcd)


def _receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.start()
    yield receiver
    receiver.stop()


@pytest.fixture
def dictator() -> Iterator[Receiver]:
    """The first receiver."""
    yield from _receiver()


@pytest.fixture
def dnsd() -> Iterator[Receiver]:
    """The second receiver."""
    yield from _receiver()


@pytest.fixture
def third() -> Iterator[Receiver]:
    """A receiver that is notified only where a test names it."""
    yield from _receiver()


@pytest.fixture
def start_observer(etcd: EtcdServer, dictator: Receiver, dnsd: Receiver, tmp_path: Path) -> Iterator[StartObserver]:
    """Starts an observer of both receivers; environment by keywords. Waits until it watches."""
    with ExitStack() as stack:

        def start(*, wait: bool = True, log: str = "observer.log", **env: str) -> Observer:
            receivers = f"{dictator.url()},{dnsd.url('/dns')}"
            observer = Observer(etcd.url, receivers, tmp_path / log, **env)
            stack.callback(observer.kill)
            observer.start()
            if wait:
                observer.says("watches")
            return observer

        yield start
