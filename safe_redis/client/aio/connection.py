"""redis-py's asyncio connection and pool, led to the master: a connection is ready only where ROLE says so."""

import asyncio
import builtins
import logging
import math
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.exceptions import (
    ConnectionError,  # noqa: A004 - redis-py's name
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 - redis-py's name
)

from safe_redis.client.connection import CAPA, ROLE
from safe_redis.client.locate import POLL, POLLS, Locator
from safe_redis.client.replies import Loading, NotMaster, Redirected, Role, interpret, role
from safe_redis.errors import Unresolved
from safe_redis.srv import Endpoint

log = logging.getLogger(__name__)

DEFAULT = object()


class LocatedConnection(Connection):
    """Connects to what its locator finds, and stays only if the role there is the one that is wanted."""

    def __init__(self, *, locator: Locator, **options: Any) -> None:
        self.locator = locator
        self.reply_timeout: Any = DEFAULT
        super().__init__(**options)
        self.endpoint = Endpoint(self.host, self.port)
        """The instance that it is, or was, connected to."""

    async def _connect(self) -> None:
        if asked := self.locator.asked:
            # not wait_for(), by which Python 3.11 forgets that the task was cancelled
            with suppress(builtins.TimeoutError):
                async with asyncio.timeout(POLLS * POLL):
                    await asked.wait()
        try:
            hint = self.locator.hint
            # a thread only where DNS is asked
            self.endpoint = hint if hint is not None else await asyncio.to_thread(self.locator.endpoint)
        except Unresolved as error:
            raise ConnectionError(str(error)) from None
        self.host, self.port = self.endpoint.host, self.endpoint.port
        try:
            await super()._connect()
        except OSError:
            self.locator.doubt(self.endpoint)
            self.locator.has_stopped(self.endpoint)
            raise

    async def can_read(self) -> bool:
        """As redis-py's, which looks so whether an idle connection is still good: nothing is to be read from it."""
        bad = True
        try:
            bad = await super().can_read()
        finally:
            if bad:
                self.locator.has_stopped(self.endpoint)
        return bad

    async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        """redis-py's handshake, then the role. NotMaster where it isn't the one that is wanted."""
        try:
            await super().on_connect_check_health(check_health)
            redirects = self.locator.redirects(self.endpoint)
            self._judge(await (self._introduce() if redirects else self._ask_role()))
        except BaseException:
            # redis-py keeps a connection open whose handshake ends with another error than its own, and would use it
            await self.disconnect(nowait=True)
            self.locator.doubt(self.endpoint)
            raise

    def _judge(self, role: Role) -> None:
        if not self.locator.accepts(role):
            self.locator.learn(role.master)
            self.locator.leave(self.endpoint)
            raise NotMaster(f"{self.endpoint} is {role}")
        self.locator.confirm(self.endpoint)

    async def _introduce(self) -> Role:
        """In one round trip: Valkey's redirection, which others answer with an error, and the role."""
        async with self._limited("CLIENT CAPA"):
            await self.send_packed_command([CAPA + ROLE], check_health=False)
            refusal: str | None = None
            try:
                await self.read_response()
            except ResponseError as error:
                refusal = str(error)
            role_there = role(await self.read_response())
        if refusal is not None:  # of CAPA alone: a server that is busy refuses both
            log.debug("%s has no CLIENT CAPA: %s", self.endpoint, refusal)
            self.locator.has_no_redirects(self.endpoint)
        return role_there

    async def _ask_role(self) -> Role:
        async with self._limited("ROLE"):
            await self.send_packed_command([ROLE], check_health=False)
            return role(await self.read_response())

    @asynccontextmanager
    async def _limited(self, command: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.socket_connect_timeout):
                yield
        except builtins.TimeoutError:
            raise TimeoutError(f"{self.endpoint} did not answer {command}") from None

    async def moved(self, refusal: Exception) -> None:
        """Leave the instance that has refused a command; the first to be refused asks it where its master is."""
        if isinstance(refusal, Redirected):
            self.locator.learn(refusal.endpoint)
        try:
            with self.locator.turn(asyncio.Event()) as first:
                if first and self.locator.writable:
                    await self._ask_successor(refusal)
        finally:
            await self.leave()

    async def _ask_successor(self, refusal: Exception) -> None:
        # one that is loading may be a former master that has crashed
        rolled_back = None if isinstance(refusal, Loading) else self.endpoint
        try:
            for _ in range(POLLS):
                if self.locator.hint not in {None, self.endpoint}:  # learnt here, or by another connection
                    return
                role = await self._ask_role()
                self.locator.learn(rolled_back if role.is_master else role.master)
                if role.is_master or role.master is not None:
                    return
                await asyncio.sleep(POLL)
        except (RedisError, OSError) as error:
            log.debug("%s refused a command, and does not say where its master is: %s", self.endpoint, error)

    async def leave(self) -> None:
        """Disconnect, and have the idle connections to the same instance dropped."""
        await self.disconnect(nowait=True)
        self.locator.leave(self.endpoint)

    async def disconnect(self, *args: Any, **kwargs: Any) -> None:
        """As redis-py's, but nothing is left open: TLS would wait up to 30 s for the peer to close its side."""
        writer = self._writer
        try:
            await super().disconnect(*args, **kwargs)
        finally:
            if writer is not None:
                writer.transport.abort()

    async def read_response(
        self,
        disable_decoding: bool = False,  # noqa: FBT001, FBT002 - redis-py's signature
        timeout: float | None = None,  # noqa: ASYNC109 - the same
        *,
        disconnect_on_error: bool = True,
        push_request: bool | None = False,
    ) -> Any:
        """As redis-py's; a refusal has its type from safe_redis.client.replies and leaves the connection open."""
        limit = self.reply_timeout
        try:
            if timeout is not None or limit is DEFAULT:
                return await super().read_response(
                    disable_decoding, timeout, disconnect_on_error=False, push_request=push_request
                )
            async with asyncio.timeout(limit):
                return await super().read_response(
                    disable_decoding, math.inf, disconnect_on_error=False, push_request=push_request
                )
        except builtins.TimeoutError:
            await self.disconnect(nowait=True)
            raise TimeoutError(f"Timeout reading from {self.endpoint}") from None
        except BaseException as error:
            refusal = interpret(error) if isinstance(error, RedisError) else error
            if disconnect_on_error and not isinstance(refusal, ResponseError):
                await self.disconnect(nowait=True)
            if refusal is error:
                raise
            raise refusal from None


class LocatedSSLConnection(LocatedConnection, SSLConnection):
    """The same over TLS."""


class LocatedPool(ConnectionPool):
    """A pool whose connections lead to the master, or to slaves, as its locator finds them.

    `patience` is in seconds; `options` are those of redis.asyncio.ConnectionPool and Connection.
    """

    def __init__(self, locator: Locator, patience: float, *, ssl: bool = False, **options: Any) -> None:
        self.locator = locator
        self.patience = patience
        self.scripts: dict[str, Any] = {}
        self._dropping: set[asyncio.Task[None]] = set()
        kind: type[Connection] = LocatedSSLConnection if ssl else LocatedConnection
        super().__init__(connection_class=kind, locator=locator, **options)
        pool = weakref.ref(self)

        def forget(endpoint: Endpoint) -> None:
            alive = pool()
            if alive is not None:
                task = asyncio.get_running_loop().create_task(alive.drop_idle(endpoint))
                alive._dropping.add(task)  # noqa: SLF001 - its own
                task.add_done_callback(alive._dropping.discard)  # noqa: SLF001 - the same

        locator.forget = forget

    async def drop_idle(self, endpoint: Endpoint) -> None:
        """Close the connections to this endpoint that nobody uses."""
        async with self._get_pool_lock():
            for connection in self._get_free_connections():
                if isinstance(connection, LocatedConnection) and connection.endpoint == endpoint:
                    await connection.disconnect(nowait=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.locator.service}>"

    async def release(self, connection: Any) -> None:
        """As redis-py's; a connection to a former master is closed first."""
        if self.locator.has_left(connection.endpoint):
            await connection.disconnect(nowait=True)
        await super().release(connection)
