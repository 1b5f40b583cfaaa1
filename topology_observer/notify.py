"""Sends the topology to a receiver by HTTP PUT: once, without any hidden retry."""

import logging
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from safe_redis.errors import Unavailable
from safe_redis.srv import Endpoint, Resolver
from safe_redis.topology import is_ip
from topology_observer.settings import Receiver, Settings

log = logging.getLogger(__name__)

# what is read of an answer, at most
ANSWER_BYTES = 1 << 16
LOOKUPS = 4


class NotSent(Unavailable):
    """The receiver can't be found or connected to: it knows nothing of the PUT."""


class NoAnswer(Unavailable):
    """The connection broke, or the time was over, before the answer: the PUT may be done or not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said: an HTTP status and the first line of its text."""

    status: int
    line: str


class Notifier:
    """PUTs to receivers. SettingsError where name servers are wrong, or needed and not there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")
        if any(_needs_srv(receiver) for receiver in settings.receivers):
            self._resolver = Resolver(settings.dns, settings.dns_port, timeout=settings.resolve_timeout, variable="DNS")

    def locate(self, receivers: tuple[Receiver, ...]) -> list[Future[Endpoint]]:
        """Where the receivers listen, looked up all at once: the later ones while the first works."""
        return [self._pool.submit(self._endpoint, receiver) for receiver in receivers]

    def put(self, receiver: Receiver, at: Endpoint, document: bytes, *, force: bool) -> Answer:
        """The receiver's answer; NotSent or NoAnswer where there is none."""
        started = time.monotonic()
        connection = HTTPConnection(at.host, at.port, timeout=self._settings.connect_timeout)
        try:
            try:
                connection.connect()
            except OSError as error:
                raise NotSent(f"{receiver} at {at} can't be connected to: {error}") from None
            _bound(connection.sock, self._settings.notify_timeout)
            try:
                answer = _exchange(connection, receiver, document, force=force)
            except (OSError, HTTPException) as error:
                waited = time.monotonic() - started
                raise NoAnswer(f"{receiver} at {at} gave no answer within {waited:.1f} s: {error!r}") from None
        finally:
            connection.close()
        took = 1000 * (time.monotonic() - started)
        log.info("notified %s at %s: %d %s (%.1f ms)", receiver, at, answer.status, answer.line, took)
        return answer

    def _endpoint(self, receiver: Receiver) -> Endpoint:
        if _needs_srv(receiver):
            return self._resolver.srv(receiver.host)
        return Endpoint(receiver.host, receiver.port or 80)


def _needs_srv(receiver: Receiver) -> bool:
    return receiver.port is None and not is_ip(receiver.host)


def _bound(sock: socket.socket, timeout: float) -> None:
    """Waits `timeout` for a receiver that works, but half a minute for one whose host is gone."""
    sock.settimeout(timeout)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)


def _exchange(connection: HTTPConnection, receiver: Receiver, document: bytes, *, force: bool) -> Answer:
    target = receiver.target
    if force:
        target += ("&" if "?" in target else "?") + "force=1"
    headers = {"Host": receiver.authority, "Content-Type": "application/json", "Accept": "text/plain"}
    connection.request("PUT", target, document, headers)
    response = connection.getresponse()
    lines = response.read(ANSWER_BYTES).decode(errors="replace").splitlines()
    return Answer(response.status, lines[0] if lines else response.reason)
