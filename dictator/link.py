"""Connections to redis instances, behind an interface so small that the tests' model of redis can stand in for it.

Failures of the connection are raised as NoAnswer; errors that redis answers are values (`ServerError`), so that
each command of a pipelined group keeps its own outcome.
"""

import logging
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any, Protocol, Self, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.retry import Retry

from dictator.observation import Instance
from dictator.settings import Settings
from safe_redis.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")
Command = tuple[str | int, ...]
log = logging.getLogger(__name__)

NEVER = Retry(NoBackoff(), 0)


class NoAnswer(Unavailable):
    """An instance can't be reached, or does not answer in time. What was sent to it may have been done, or not."""


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error that redis answered to one command, as text."""

    text: str


class Link(Protocol):
    """One instance's commands: a group is sent at once, and answered in order."""

    def send(self, *commands: Command) -> Sequence[Any]:
        """The replies: a dict for INFO, a ServerError for an error, else as RESP2 has them. Raises NoAnswer."""


class Runtime(Protocol):
    """All that the dictator does outside of its own head: links, time, and doing things side by side."""

    def link(self, instance: Instance) -> Link:
        """The link to the instance; opened at the first use, and anew after a failure."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""

    def sleep(self, seconds: float) -> None:
        """Waits."""

    def map_parallel(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """`function` of each item, all at once; the results in the items' order."""


class _Abrupt(Connection):
    """A connection whose end takes back what it has not delivered yet.

    Otherwise the kernel would go on delivering it for minutes, also for a dead process: a REPLICAOF given up during a
    partition would be carried out long after another run has made that instance the master.
    """

    def _connect(self) -> socket.socket:
        made: socket.socket = super()._connect()  # type: ignore[no-untyped-call] # redis-py leaves it unannotated
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return made


class _AbruptTls(_Abrupt, SSLConnection):
    """The same over TLS."""


class RedisLink:
    """A Link over one TCP (or TLS) connection by redis-py, without any retry of its own. Any thread may use it.

    A broken connection is told by the send that meets it, and only the next send opens a new one. So no command reaches
    an instance that has restarted since it was last asked, and that may be a master with writes of its own by now.
    """

    def __init__(self, instance: Instance, settings: Settings) -> None:
        self._instance = instance
        self._connection = _connection(instance, settings)
        self._lock = Lock()

    def send(self, *commands: Command) -> Sequence[Any]:
        """See Link."""
        with self._lock:
            try:
                self._connection.connect()
                self._connection.send_packed_command([_packed(commands)])
                return [self._reply(command) for command in commands]
            except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
                self._connection.disconnect()
                raise NoAnswer(f"{self._instance} doesn't answer: {error}") from None
            except redis.RedisError as error:
                self._connection.disconnect()
                raise NoAnswer(f"{self._instance} can't be used: {type(error).__name__}: {error}") from None

    def _reply(self, command: Command) -> Any:
        try:
            reply = self._connection.read_response()
        except redis.ResponseError as error:
            return ServerError(str(error))
        return fields(reply) if command[0] == "INFO" else reply

    def close(self) -> None:
        """Closes the connection; the next send opens one anew."""
        with self._lock:
            self._connection.disconnect()


def _connection(instance: Instance, settings: Settings) -> Connection:
    """A connection, not open yet, with the deadlines of the settings. The one place that makes one."""
    options: dict[str, Any] = {
        "host": instance.host,
        "port": instance.port,
        "username": settings.redis_username or None,
        "password": settings.password or None,
        "socket_connect_timeout": settings.connect_timeout,
        "socket_timeout": settings.reply_timeout,
        # RESP2 without CLIENT SETINFO: nothing is sent at connect, but for AUTH where there is a password
        "protocol": 2,
        "driver_info": None,
        "decode_responses": True,
    }
    if not settings.redis_tls:
        made = _Abrupt(**options)  # type: ignore[no-untyped-call] # the same
    else:
        # addresses are ephemeral, so that no certificate can name them; the CA is what is checked
        made = _AbruptTls(ssl_ca_certs=settings.redis_tls, ssl_check_hostname=False, **options)
    # given to the constructor, it would be copied deeply, which takes as long as the rest of it
    made.retry = NEVER
    return made


@lru_cache(maxsize=128)
def _packed(commands: tuple[Command, ...]) -> bytes:
    """The commands on the wire, made once: most are asked again and again, and while clients wait."""
    return b"".join(map(_wire, commands))


def _wire(command: Command) -> bytes:
    words = [str(word).encode() for word in command]
    return b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))


def fields(text: str) -> dict[str, str]:
    """INFO's lines `name:value` as a dict; headings and empty lines left out."""
    parts = [line.partition(":") for line in text.splitlines()]
    return {name: value for name, colon, value in parts if colon and not name.startswith("#")}


class RedisRuntime:
    """A Runtime of real instances. Links live as long as it does; use it as a context manager."""

    def __init__(self, settings: Settings, pool: ThreadPoolExecutor) -> None:
        self._settings = settings
        self._pool = pool
        self._links: dict[tuple[str, int], RedisLink] = {}

    def link(self, instance: Instance) -> RedisLink:
        """See Runtime."""
        found = self._links.get(instance.address)
        if found is None:
            # two threads may both make one; the first that is kept serves both
            found = self._links.setdefault(instance.address, RedisLink(instance, self._settings))
        return found

    def now(self) -> float:
        """See Runtime."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See Runtime."""
        time.sleep(seconds)

    def map_parallel(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """See Runtime."""
        return list(self._pool.map(function, items))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for link in self._links.values():
            link.close()
