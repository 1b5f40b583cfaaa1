"""Connections to redis instances, behind an interface so small that the tests' model of redis can stand in for it.

Failures of the connection are raised as NoAnswer; errors that redis answers are values (`ServerError`), so that
each command of a pipelined group keeps its own outcome.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dictator.observation import Instance
from dictator.settings import Settings
from topology.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")
Command = tuple[str | int, ...]
log = logging.getLogger(__name__)


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


class World(Protocol):
    """All that the dictator does outside of its own head: links, time, and doing things side by side."""

    def link(self, instance: Instance) -> Link:
        """The link to the instance; opened at the first use, and anew after a failure."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""

    def sleep(self, seconds: float) -> None:
        """Waits."""

    def side_by_side(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """`function` of each item, all at once; the results in the items' order."""


class RedisLink:
    """A Link over one TCP (or TLS) connection by redis-py, without any retry of its own."""

    def __init__(self, instance: Instance, settings: Settings) -> None:
        self._instance = instance
        self._redis = client(instance.host, instance.port, settings)

    def send(self, *commands: Command) -> Sequence[Any]:
        """See Link."""
        try:
            pipe = self._redis.pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)
            replies = pipe.execute(raise_on_error=False)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            self.close()
            raise NoAnswer(f"{self._instance} doesn't answer: {error}") from None
        except redis.RedisError as error:
            self.close()
            raise NoAnswer(f"{self._instance} can't be used: {type(error).__name__}: {error}") from None
        return [ServerError(str(reply)) if isinstance(reply, redis.RedisError) else reply for reply in replies]

    def close(self) -> None:
        """Closes the connection; the next send opens one anew."""
        self._redis.connection_pool.disconnect()


def client(host: str, port: int, settings: Settings) -> redis.Redis:
    """A redis-py client without retries, with the deadlines of the settings. The one place that makes one."""
    secure: dict[str, Any] = {}
    if settings.redis_tls:
        # addresses are ephemeral, so that no certificate can name them; the CA is what is checked
        secure = {"ssl": True, "ssl_ca_certs": settings.redis_tls, "ssl_check_hostname": False}
    made = redis.Redis(
        host=host,
        port=port,
        username=settings.redis_username or None,
        password=settings.password or None,
        socket_connect_timeout=settings.connect_timeout,
        socket_timeout=settings.reply_timeout,
        retry=Retry(NoBackoff(), 0),
        # RESP2 without CLIENT SETINFO: nothing is sent at connect, but for AUTH where there is a password
        protocol=2,
        driver_info=None,
        decode_responses=True,
        **secure,
    )
    # redis-py turns what looks like a number into one, and a replication id may look like one (17 hex digits and an e)
    made.set_response_callback("INFO", fields)
    return made


def fields(text: str) -> dict[str, str]:
    """INFO's lines `name:value` as a dict; headings and empty lines left out."""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))


class RedisWorld:
    """A World of real instances. Links live as long as it does; use it as a context manager."""

    def __init__(self, settings: Settings, pool: ThreadPoolExecutor) -> None:
        self._settings = settings
        self._pool = pool
        self._links: dict[tuple[str, int], RedisLink] = {}

    def link(self, instance: Instance) -> RedisLink:
        """See World."""
        found = self._links.get(instance.address)
        if found is None:
            # two threads may both make one; the first that is kept serves both
            found = self._links.setdefault(instance.address, RedisLink(instance, self._settings))
        return found

    def now(self) -> float:
        """See World."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See World."""
        time.sleep(seconds)

    def side_by_side(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """See World."""
        return list(self._pool.map(function, items))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for link in self._links.values():
            link.close()
