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


ENDLESS = {
    "head": (HEAD + b"X: ", b"x"),
    "body": (HEAD + b"Content-Length: 60000\r\n\r\n", b"x"),
    "body without a length": (HEAD + b"\r\n", b"x"),
    "never final": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


def dripping(start: bytes, piece: bytes) -> Iterator[bytes]:
    """The start at once, then the same piece again and again."""
    yield start
    while True:
        time.sleep(0.05)
        yield piece


@pytest.mark.parametrize(("start", "piece"), ENDLESS.values(), ids=ENDLESS)
def test_an_answer_that_never_ends_is_given_up(
    config: Config, start_observer: StartObserver, start: bytes, piece: bytes
) -> None:
    receiver = Answering(lambda: dripping(start, piece))
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
