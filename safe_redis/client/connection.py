"""redis-py's connection and pool, led to the master: a connection is ready only where ROLE says so."""

import logging
import threading
import time
import weakref
from typing import Any

from redis.connection import Connection, ConnectionPool, SSLConnection
from redis.exceptions import (
    ConnectionError,  # noqa: A004 - redis-py's name
    RedisError,
    ResponseError,
)
from redis.utils import SENTINEL

from safe_redis.client.locate import POLL, POLLS, Locator
from safe_redis.client.replies import Loading, NotMaster, Redirected, Role, interpret, role
from safe_redis.errors import Unresolved
from safe_redis.srv import Endpoint

log = logging.getLogger(__name__)

# as they are sent
CAPA = b"*3\r\n$6\r\nCLIENT\r\n$4\r\nCAPA\r\n$8\r\nredirect\r\n"
ROLE = b"*1\r\n$4\r\nROLE\r\n"


class LocatedConnection(Connection):
    """Connects to what its locator finds, and stays only if the role there is the one that is wanted."""

    def __init__(self, *, locator: Locator, **options: Any) -> None:
        self.locator = locator
        self.reply_timeout: Any = SENTINEL
        super().__init__(**options)
        self.endpoint = Endpoint(self.host, self.port)
        """The instance that it is, or was, connected to."""

    def _connect(self) -> Any:
        if asked := self.locator.asked:
            asked.wait(POLLS * POLL)
        try:
            self.endpoint = self.locator.endpoint()
        except Unresolved as error:
            raise ConnectionError(str(error)) from None
        self.host, self.port = self.endpoint.host, self.endpoint.port
        try:
            return super()._connect()
        except OSError:
            self.locator.doubt(self.endpoint)
            self.locator.has_stopped(self.endpoint)
            raise

    def can_read(self, timeout: float = 0) -> bool:
        """As redis-py's, which looks so whether an idle connection is still good."""
        try:
            return super().can_read(timeout)
        except ConnectionError:
            self.locator.has_stopped(self.endpoint)
            raise

    def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        """redis-py's handshake, then the role. NotMaster where it isn't the one that is wanted."""
        try:
            super().on_connect_check_health(check_health)
            self._judge(self._introduce() if self.locator.redirects(self.endpoint) else self._ask_role())
        except BaseException:
            # redis-py keeps a connection open whose handshake ends with another error than its own, and would use it
            self.disconnect()
            self.locator.doubt(self.endpoint)
            raise

    def _judge(self, role: Role) -> None:
        if not self.locator.accepts(role):
            self.locator.learn(role.master)
            self.locator.leave(self.endpoint)
            raise NotMaster(f"{self.endpoint} is {role}")
        self.locator.confirm(self.endpoint)

    def _introduce(self) -> Role:
        """In one round trip: Valkey's redirection, which others answer with an error, and the role."""
        self.send_packed_command([CAPA + ROLE], check_health=False)
        refusal: str | None = None
        try:
            self.read_response(timeout=self.socket_connect_timeout)
        except ResponseError as error:
            refusal = str(error)
        role_there = role(self.read_response(timeout=self.socket_connect_timeout))
        if refusal is not None:  # of CAPA alone: a server that is busy refuses both
            log.debug("%s has no CLIENT CAPA: %s", self.endpoint, refusal)
            self.locator.has_no_redirects(self.endpoint)
        return role_there

    def _ask_role(self) -> Role:
        self.send_packed_command([ROLE], check_health=False)
        return role(self.read_response(timeout=self.socket_connect_timeout))

    def moved(self, refusal: Exception) -> None:
        """Leave the instance that has refused a command; the first to be refused asks it where its master is."""
        if isinstance(refusal, Redirected):
            self.locator.learn(refusal.endpoint)
        try:
            with self.locator.turn(threading.Event()) as first:
                if first and self.locator.writable:
                    self._ask_successor(refusal)
        finally:
            self.leave()

    def _ask_successor(self, refusal: Exception) -> None:
        # one that is loading may be a former master that has crashed
        rolled_back = None if isinstance(refusal, Loading) else self.endpoint
        try:
            for _ in range(POLLS):
                if self.locator.hint not in {None, self.endpoint}:  # learnt here, or by another connection
                    return
                role = self._ask_role()
                self.locator.learn(rolled_back if role.is_master else role.master)
                if role.is_master or role.master is not None:
                    return
                time.sleep(POLL)
        except (RedisError, OSError) as error:
            log.debug("%s refused a command, and does not say where its master is: %s", self.endpoint, error)

    def leave(self) -> None:
        """Disconnect, and have the idle connections to the same instance dropped."""
        self.disconnect()
        self.locator.leave(self.endpoint)

    def read_response(
        self,
        disable_decoding: bool = False,  # noqa: FBT001, FBT002 - redis-py's signature
        *,
        timeout: Any = SENTINEL,
        disconnect_on_error: bool = True,
        push_request: bool = False,
    ) -> Any:
        """As redis-py's; a refusal has its type from safe_redis.client.replies and leaves the connection open."""
        try:
            return super().read_response(
                disable_decoding,
                timeout=self.reply_timeout if timeout is SENTINEL else timeout,
                disconnect_on_error=False,
                push_request=push_request,
            )
        except BaseException as error:
            refusal = interpret(error) if isinstance(error, RedisError) else error
            if disconnect_on_error and not isinstance(refusal, ResponseError):
                self.disconnect()
            if refusal is error:
                raise
            raise refusal from None


class LocatedSSLConnection(LocatedConnection, SSLConnection):
    """The same over TLS."""


class LocatedPool(ConnectionPool):
    """A pool whose connections lead to the master, or to slaves, as its locator finds them.

    `patience` is in seconds; `options` are those of redis.ConnectionPool and redis.Connection.
    """

    def __init__(self, locator: Locator, patience: float, *, ssl: bool = False, **options: Any) -> None:
        self.locator = locator
        self.patience = patience
        self.scripts: dict[str, Any] = {}
        kind: type[Connection] = LocatedSSLConnection if ssl else LocatedConnection
        super().__init__(connection_class=kind, locator=locator, **options)
        pool = weakref.ref(self)

        def forget(endpoint: Endpoint) -> None:
            alive = pool()
            if alive is not None:
                alive.drop_idle(endpoint)

        locator.forget = forget

    def drop_idle(self, endpoint: Endpoint) -> None:
        """Close the connections to this endpoint that nobody uses."""
        with self._get_pool_lock():
            for connection in self._get_free_connections():
                if connection.endpoint == endpoint:
                    connection.disconnect()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.locator.service}>"

    def release(self, connection: Any) -> None:
        """As redis-py's; a connection to a former master is closed first."""
        if self.locator.has_left(connection.endpoint) and connection.pid == self.pid:
            connection.disconnect()
        super().release(connection)
