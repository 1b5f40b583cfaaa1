"""Finds the master by SRV and opens connections to it.

What can't be found or reached is looked up anew for `patience` seconds: addresses change while a cluster works.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.exceptions import RedisError
from redis.retry import Retry

from safe_redis.errors import Unresolved
from safe_redis.srv import Endpoint, Resolver

T = TypeVar("T")

CONNECT_TIMEOUT = 0.5
ANSWER_TIMEOUT = 2.0
"""Seconds that a command may take: longer than a planned pause of writes, short against a stopped master."""


class NoMasterError(Exception):
    """No master was found in time; the message says what was tried last."""


def pause_after(errors: int) -> float:
    """Seconds to wait after so many errors in a row.

    It takes a switch some milliseconds to reach DNS, and asking meanwhile only slows it down. From then on the new
    master may be there at any moment. After many errors this is no switch but an outage.
    """
    if errors == 1:
        return 0.003
    return 0.001 if errors <= 20 else 0.05


def connect(endpoint: Endpoint) -> Connection:
    """A connection that never sends anything twice: a write sent again could be stored twice."""
    connection = Connection(
        host=endpoint.host,
        port=endpoint.port,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=ANSWER_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
        decode_responses=True,
    )
    connection.connect()
    return connection


def ask(connection: Connection, *command: str | int) -> Any:
    """The answer to one command."""
    return ask_at_once(connection, command)[0]


def ask_at_once(connection: Connection, *commands: tuple[str | int, ...]) -> list[Any]:
    """The answers to commands that the server gets in one go, and so handles one right after the other."""
    connection.send_packed_command(connection.pack_commands(commands))
    return [connection.read_response() for _ in commands]


class Master:
    """Whatever instance DNS names at the moment."""

    def __init__(self, resolver: Resolver, service: str, patience: float) -> None:
        self._resolver = resolver
        self._service = service
        self._patience = patience

    def connection(self, stopped: Callable[[], bool]) -> Connection:
        """A fresh connection; the caller closes it. NoMasterError after `patience` seconds, or when `stopped`."""
        return self._insist(self._connect, stopped)

    def attempt(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns on a fresh connection. An error of it is followed by a new look-up and another try.

        NoMasterError after `patience` seconds.
        """

        def once() -> T:
            connection = self._connect()
            try:
                return work(connection)
            finally:
                connection.disconnect()

        return self._insist(once, lambda: False)

    def _connect(self) -> Connection:
        return connect(self._resolver.srv(self._service))

    def _insist(self, once: Callable[[], T], stopped: Callable[[], bool]) -> T:
        deadline = time.monotonic() + self._patience
        errors = 0
        while True:
            try:
                return once()
            except (Unresolved, RedisError) as error:
                errors += 1
                if stopped() or time.monotonic() > deadline:
                    raise NoMasterError(f"no master at {self._service} for {self._patience:g} s: {error}") from None
            time.sleep(pause_after(errors))
