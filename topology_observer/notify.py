"""Sends the topology to a receiver by HTTP PUT: once, without any hidden retry.

Every connection ends with RST, unless the answer was read: what was given up, by us or by the end
of this process, must not be delivered by the kernel minutes later.
"""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException, HTTPResponse

from safe_redis import early
from safe_redis.early import Hint
from safe_redis.errors import DocumentError, Outdated, SettingsError, Unavailable
from safe_redis.repeats import HEADER
from safe_redis.srv import Endpoint, Resolver
from safe_redis.topology import is_ip
from safe_redis.version import Version, from_headers
from topology_observer import deadline
from topology_observer.held import Held
from topology_observer.settings import Receiver, Settings

# what is read of an answer, at most
ANSWER_BYTES = 1 << 16
HISTORY_BYTES = 1 << 24
LOOKUPS = 4
RESET, ORDERLY = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


class NotSent(Unavailable):
    """The receiver can't be connected to, or the token can't be read: it knows nothing of the PUT."""


class NoAnswer(Unavailable):
    """The connection broke, or the time was over, before the answer: the PUT may be done or not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said: an HTTP status, the first line of its text, and the version that it has instead of ours."""

    status: int
    line: str
    newest: Version | None
    at: Endpoint

    @property
    def outdated(self) -> bool:
        """Whether it has taken a newer document: reading it anew may help."""
        return self.status == 409 and self.line.startswith(Outdated.__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """A document to PUT, its version, whether to force it, and whether nobody asked for this PUT."""

    document: bytes
    version: Version
    force: bool
    repeat: bool


class Notifier:
    """PUTs to receivers. SettingsError where name servers are wrong, or needed and not there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = settings.tls
        self._pool = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")
        # the endpoint that each receiver was last reached at, and whether it did what it was asked to
        self._last: dict[Receiver, tuple[Endpoint, bool]] = {}
        if any(_needs_srv(receiver) for receiver in settings.receivers):
            self._resolver = Resolver(settings.dns, settings.dns_port, timeout=settings.resolve_timeout, variable="DNS")

    def locate(self, receivers: tuple[Receiver, ...]) -> list[Future[tuple[Endpoint, ...]]]:
        """Where the receivers listen, looked up all at once: the later ones while the first works."""
        return [self._pool.submit(self._endpoints, receiver) for receiver in receivers]

    def put(
        self,
        receiver: Receiver,
        places: tuple[Endpoint, ...],
        request: Request,
        hinted: Callable[[Hint], None],
        held: Held | None = None,
    ) -> Answer:
        """The answer of the first of `places` that can be connected to; NotSent or NoAnswer where there is none.

        NotSent also where the token can't be read. `hinted` is called for what the receiver says before its answer.
        What is `held` is completed; if it can't be, everything is sent.
        """
        if held is not None and held.complete():
            connection, at = held.connection, held.at
        else:
            connection, at = self._begin(receiver, places, request, self._headers(receiver, request))
        answer = self._answer(connection, receiver, at, hinted)
        self._last[receiver] = (at, answer.status < 500)
        return answer

    def hold(self, receiver: Receiver, places: tuple[Endpoint, ...], request: Request) -> Held:
        """Sends all of a PUT but its last byte. NotSent or NoAnswer where that fails."""
        document = request.document.rstrip()  # so that it ends with the brace that makes it one
        if not document:
            raise NotSent("there is nothing to hold back of an empty document")
        headers = self._headers(receiver, request) | {early.HELD: "1", "Content-Length": str(len(document))}
        begun = replace(request, document=document[:-1])
        connection, at = self._begin(receiver, places, begun, headers)
        return Held(connection, at, document[-1:], time.monotonic())

    def _begin(
        self, receiver: Receiver, places: tuple[Endpoint, ...], request: Request, headers: dict[str, str]
    ) -> tuple[HTTPConnection, Endpoint]:
        """The connection to the first of `places` that takes one, with the request sent. NotSent or NoAnswer."""
        failures = []
        for at in sorted(places, key=lambda at: self._rank(receiver, at)):
            try:
                connection = self._connect(receiver, at)
            except NotSent as error:
                # it has got nothing, so another may be asked
                failures.append(str(error))
                continue
            self._last[receiver] = (at, False)
            with _no_answer(connection, receiver, at):
                connection.request("PUT", _target(receiver, request), request.document, headers)
            return connection, at
        raise NotSent("; ".join(failures))

    def check(self) -> None:
        """Unresolved where names have to be looked up and no name server answers."""
        if any(_needs_srv(receiver) for receiver in self._settings.receivers):
            self._resolver.check()

    def exchange(self, receiver: Receiver, places: tuple[Endpoint, ...], method: str, body: bytes) -> tuple[int, bytes]:
        """Any request to a receiver: status and body of the answer. NotSent or NoAnswer where there is none."""
        connection = self._connect(receiver, places[0])
        sock = connection.sock
        try:
            connection.request(method, receiver.target, body, self._identity(receiver))
            response = deadline.response(connection, method, self._settings.notify_timeout)
            _linger(sock, ORDERLY)
            return response.status, response.read(HISTORY_BYTES)
        except (OSError, HTTPException) as error:
            raise NoAnswer(f"{receiver} at {places[0]} gave no answer: {error!r}") from None
        finally:
            connection.close()

    def _rank(self, receiver: Receiver, at: Endpoint) -> int:
        """Where of several comes `at`: the one that worked last time first, the one that didn't last."""
        last, worked = self._last.get(receiver, (None, False))
        return 1 if at != last else 0 if worked else 2

    def _endpoints(self, receiver: Receiver) -> tuple[Endpoint, ...]:
        if _needs_srv(receiver):
            return tuple(self._resolver.endpoints(receiver.host))
        return (Endpoint(receiver.host, receiver.port or (443 if receiver.scheme == "https" else 80)),)

    def _connect(self, receiver: Receiver, at: Endpoint) -> HTTPConnection:
        connection = HTTPConnection(at.host, at.port, timeout=self._settings.connect_timeout)
        try:
            connection.connect()
            _linger(connection.sock, RESET)
            if receiver.scheme == "https":
                connection.sock = self._tls.wrap_socket(connection.sock, server_hostname=receiver.host)
        except (OSError, ValueError) as error:  # a host name may be none that TLS can check
            connection.close()
            raise NotSent(f"{receiver} at {at} can't be connected to: {error}") from None
        _bound(connection.sock, self._settings.notify_timeout)
        return connection

    def _answer(
        self, connection: HTTPConnection, receiver: Receiver, at: Endpoint, hinted: Callable[[Hint], None]
    ) -> Answer:
        sock = connection.sock
        with _no_answer(connection, receiver, at), closing(connection):
            response = deadline.response(connection, "PUT", self._settings.notify_timeout, hinted)
            _linger(sock, ORDERLY)
            lines = response.read(ANSWER_BYTES).decode(errors="replace").splitlines()
        return Answer(response.status, lines[0] if lines else response.reason, _newest(response), at)

    def _headers(self, receiver: Receiver, request: Request) -> dict[str, str]:
        marks = {early.REQUEST: "1"} | ({HEADER: "1"} if request.repeat else {})
        try:
            return self._identity(receiver) | request.version.headers | marks
        except SettingsError as error:
            raise NotSent(str(error)) from None

    def _identity(self, receiver: Receiver) -> dict[str, str]:
        headers = {"Host": receiver.authority, "Content-Type": "application/json", "Accept": "text/plain"}
        token = self._settings.access_token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return headers


@contextmanager
def _no_answer(connection: HTTPConnection, receiver: Receiver, at: Endpoint) -> Iterator[None]:
    """NoAnswer where the work fails, which ends the connection."""
    started = time.monotonic()
    try:
        yield
    except (OSError, HTTPException) as error:
        connection.close()
        waited = time.monotonic() - started
        raise NoAnswer(f"{receiver} at {at} gave no answer within {waited:.1f} s: {error!r}") from None


def _needs_srv(receiver: Receiver) -> bool:
    return receiver.port is None and not is_ip(receiver.host)


def _target(receiver: Receiver, request: Request) -> str:
    if not request.force:
        return receiver.target
    return receiver.target + ("&" if "?" in receiver.target else "?") + "force=1"


def _linger(sock: socket.socket, how: bytes) -> None:
    """Whether the connection ends with RST or as usual, also when this process is killed."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, how)


def _bound(sock: socket.socket, timeout: float) -> None:
    """Waits `timeout` for a receiver that works, but half a minute for one whose host is gone."""
    sock.settimeout(timeout)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)


def _newest(response: HTTPResponse) -> Version | None:
    try:
        return from_headers(response.headers.get)
    except DocumentError:
        return None
