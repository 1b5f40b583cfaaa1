"""One connection to an instance, without blocking: its methods are generators for dictator/conversation.py."""

import errno
import ipaddress
import os
import select
import socket
import ssl
import struct
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from dictator.conversation import Waits
from dictator.instance import Instance
from dictator.link import Command, OutsideNetworks, ServerError
from dictator.resp import Parser, packed
from dictator.settings import Network, Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Access:
    """How instances are reached, and which ones may be. Deadlines are in seconds."""

    username: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    networks: tuple[Network, ...] = ()
    connect_timeout: float = 1.0
    reply_timeout: float = 2.0


def access(settings: Settings) -> Access:
    """The access that the settings describe; reads the files that they name. Raises SettingsError."""
    return Access(
        settings.redis_username,
        settings.password,
        settings.tls(),
        settings.networks,
        settings.connect_timeout,
        settings.reply_timeout,
    )


class Connection:
    """A TCP (or TLS) connection; close() takes back what it has not delivered yet.

    Otherwise the kernel would go on delivering it for minutes, also for a dead process: a REPLICAOF given up during a
    partition would be carried out long after another run has made that instance the master.
    """

    def __init__(self, instance: Instance, access: Access) -> None:
        self.deadline = 0.0
        # what a TimeoutError means, in words
        self.awaited = ""
        # connected and authenticated; the connection may have broken since
        self.is_open = False
        self._instance = instance
        self._access = access
        self._socket: socket.socket | None = None
        self._owed = False

    @property
    def is_idle(self) -> bool:
        """Whether it is open, and all that was asked has been answered."""
        return self.is_open and not self._owed

    def fileno(self) -> int:
        """For poll()."""
        return self._connected.fileno()

    @property
    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionError("the connection is closed")
        return self._socket

    def open(self) -> Waits[None]:
        """Connects, and authenticates where there is a password. Raises OSError, Malformed or OutsideNetworks."""
        address = self._allowed(_resolved(self._instance.host, self._access.connect_timeout))
        self._wait_for("no connection", self._access.connect_timeout)
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        made = self._socket = socket.socket(family, socket.SOCK_STREAM)
        made.settimeout(0)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        failure = made.connect_ex((str(address), self._instance.port))
        if failure == errno.EINPROGRESS:
            yield select.POLLOUT
            failure = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            raise ConnectionError(os.strerror(failure))
        if self._access.tls:
            yield from self._handshake(made, self._access.tls)
        if self._access.password:
            yield from self._authenticate()
        self.is_open = True

    def _allowed(self, address: Address) -> Address:
        mapped = getattr(address, "ipv4_mapped", None) or address
        if self._access.networks and not any(mapped in network for network in self._access.networks):
            raise OutsideNetworks(f"{self._instance} is in none of ALLOWED_NETWORKS: no connection was made")
        return address

    def _handshake(self, plain: socket.socket, context: ssl.SSLContext) -> Waits[None]:
        made = context.wrap_socket(plain, do_handshake_on_connect=False)
        self._socket = made
        while True:
            try:
                made.do_handshake()
            except ssl.SSLWantReadError:
                yield select.POLLIN
            except ssl.SSLWantWriteError:
                yield select.POLLOUT
            else:
                return

    def _authenticate(self) -> Waits[None]:
        user = (self._access.username,) if self._access.username else ()
        command = ("AUTH", *user, self._access.password)
        (reply,) = yield from self.ask((command,), CHUNK)
        if isinstance(reply, ServerError):
            raise ConnectionError(f"authentication failed: {reply.text}")

    def ask(self, commands: tuple[Command, ...], limit: int) -> Waits[list[Any]]:
        """Sends the commands, and returns their replies of `limit` bytes at most. Raises OSError or Malformed."""
        if self._owed:
            # a conversation was abandoned: what comes next would be taken for the reply to something else
            raise ConnectionError("an earlier reply is outstanding")
        self._owed = True
        self._wait_for("no whole reply", self._access.reply_timeout)
        yield from self._write(packed(commands))
        parser = Parser(limit)
        while len(parser.replies) < len(commands) or not parser.between_replies:
            data = yield from self._read()
            if not data:
                errors = [reply.text for reply in parser.replies if isinstance(reply, ServerError)]
                raise ConnectionError("; ".join(("the connection was closed", *errors[:1])))
            parser.feed(data)
        if len(parser.replies) > len(commands):
            raise ConnectionError("it sent more replies than it was asked for")
        self._owed = False
        return parser.replies

    def _wait_for(self, what: str, seconds: float) -> None:
        self.awaited = f"{what} within {seconds:g} s"
        self.deadline = time.monotonic() + seconds

    def _write(self, data: bytes) -> Waits[None]:
        view = memoryview(data)
        while view:
            try:
                view = view[self._connected.send(view) :]
            except ssl.SSLWantReadError:
                yield select.POLLIN
            except (BlockingIOError, ssl.SSLWantWriteError):
                yield select.POLLOUT

    def _read(self) -> Waits[bytes]:
        made = self._connected
        if not (isinstance(made, ssl.SSLSocket) and made.pending()):
            yield select.POLLIN
        while True:
            try:
                return made.recv(CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                yield select.POLLIN
            except ssl.SSLWantWriteError:
                yield select.POLLOUT

    def close(self) -> None:
        """Ends the connection with a reset."""
        self.is_open = self._owed = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _resolved(host: str, seconds: float) -> Address:
    """The address itself. A name can only come from a slave's master_host, and is looked up with a deadline."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    answer: Future[str] = Future()

    def look_up() -> None:
        try:
            answer.set_result(str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0]))
        except (OSError, UnicodeError) as error:
            answer.set_exception(error)

    Thread(target=look_up, daemon=True).start()
    try:
        return ipaddress.ip_address(answer.result(seconds))
    except (OSError, UnicodeError, TimeoutError):
        raise ConnectionError("its address can't be looked up") from None
