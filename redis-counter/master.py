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

from topology.errors import Unresolved
from topology.srv import Endpoint, Resolver

T = TypeVar("T")

CONNECT_TIMEOUT = 0.5
ANSWER_TIMEOUT = 2.0
"""Seconds that a command may take: longer than a planned pause of writes, short against a stopped master."""


class NoMasterError(Exception):
    """No master was found in time; the message says what was tried last."""


def pause_after(errors: int) -> float:
    """Seconds to wait after so many errors in a row: short while a switch may take, long enough for an outage."""
    return 0.002 if errors <= 10 else 0.05


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
    connection.send_command(*command)
    return connection.read_response()


class Master:
    """Whatever instance DNS names at the moment."""

    def __init__(self, resolver: Resolver, service: str, patience: float) -> None:
        self._resolver = resolver
        self._service = service
        self._patience = patience

    def connection(self, stopped: Callable[[], bool] = lambda: False) -> Connection:
        """A fresh connection; the caller closes it."""
        return self.attempt(lambda connection: connection, stopped)

    def attempt(self, work: Callable[[Connection], T], stopped: Callable[[], bool] = lambda: False) -> T:
        """What `work` returns on a fresh connection. An error of it is followed by a new look-up and another try.

        NoMasterError after `patience` seconds, or as soon as `stopped` after an error.
        """
        deadline = time.monotonic() + self._patience
        errors = 0
        while True:
            try:
                return self._once(work)
            except (Unresolved, RedisError) as error:
                errors += 1
                if stopped() or time.monotonic() > deadline:
                    raise NoMasterError(f"no master at {self._service} for {self._patience:g} s: {error}") from None
            time.sleep(pause_after(errors))

    def _once(self, work: Callable[[Connection], T]) -> T:
        connection = connect(self._resolver.srv(self._service))
        try:
            return work(connection)
        except BaseException:
            connection.disconnect()
            raise
