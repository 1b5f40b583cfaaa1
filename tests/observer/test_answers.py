"""Receivers whose answers are slow, huge or no HTTP: a run with them ends, and the next trigger has its turn."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.observer.conftest import Config, StartObserver

HEAD = b"HTTP/1.1 503 Service Unavailable\r\n"


class Answering:
    """Answers each connection with what `answer` yields, a piece at a time, until the other side has gone."""

    def __init__(self, answer: Callable[[], Iterator[bytes]]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/master"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(1 << 16)
            for piece in self._answer():
                client.sendall(piece)


def slow_head() -> Iterator[bytes]:
    yield HEAD + b"X: "
    while True:
        time.sleep(0.05)
        yield b"x"


def slow_body() -> Iterator[bytes]:
    yield HEAD + b"Content-Length: 60000\r\n\r\n"
    while True:
        time.sleep(0.05)
        yield b"x"


def no_length() -> Iterator[bytes]:
    yield HEAD + b"\r\n"
    while True:
        time.sleep(0.05)
        yield b"x"


def never_final() -> Iterator[bytes]:
    while True:
        time.sleep(0.05)
        yield b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("answer", [slow_head, slow_body, no_length, never_final])
def test_an_answer_that_never_ends_is_given_up(
    config: Config, start_observer: StartObserver, answer: Callable[[], Iterator[bytes]]
) -> None:
    receiver = Answering(answer)
    config.define("a")
    observer = start_observer(NOTIFIES=receiver.url, NOTIFY_TIMEOUT="0.5")
    observer.says("gave no answer within", 2)
    receiver.close()


@pytest.mark.parametrize(
    "answer", [b"\0" * 100, b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 999999 x\r\n\r\n", HEAD + b"X: y\r\n" * 1000]
)
def test_an_answer_that_is_no_http_is_none(config: Config, start_observer: StartObserver, answer: bytes) -> None:
    receiver = Answering(lambda: iter([answer]))
    config.define("a")
    observer = start_observer(NOTIFIES=receiver.url)
    observer.says("gave no answer within", 2)
    assert observer.count("Traceback") == 0
    receiver.close()
