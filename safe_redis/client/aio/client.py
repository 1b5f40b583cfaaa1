"""redis.asyncio.Redis and its PubSub on a LocatedPool. See safe_redis.client.blocking, which they follow."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.client import PubSub as RedisPubSub
from redis.exceptions import NoScriptError, RedisError
from redis.utils import str_if_bytes

from safe_redis.client import commands, scan
from safe_redis.client.aio.connection import DEFAULT, LocatedConnection, LocatedPool
from safe_redis.client.aio.pipeline import Pipeline
from safe_redis.client.attempts import BLOCK, BROKEN, PERMANENT, answered, may_repeat, reply_timeout
from safe_redis.client.errors import ScanInterrupted
from safe_redis.client.patience import Patience
from safe_redis.client.replies import REFUSALS, Unanswered, Unblocked


class Redis(AsyncRedis):
    """A redis.asyncio.Redis that follows the master. Made by safe_redis.client.aio.connect; tasks may share it.

    Every command raises, besides what redis-py raises for the server's own errors:

    - OutcomeUnknown, when it was sent, not answered, and doesn't only read;
    - NoMaster, when no master took it within `patience` seconds: it was not executed;
    - ScanInterrupted, when a cursor of SCAN or its kind is another instance's. The iterators begin again instead.
    """

    connection_pool: LocatedPool
    _idempotent = False

    @property
    def idempotent(self) -> Self:
        """The same client for commands that may be executed twice, such as SET: unanswered, they are sent again."""
        client = type(self)(connection_pool=self.connection_pool)
        client.response_callbacks = self.response_callbacks
        client._idempotent = True  # noqa: SLF001 - one of its own kind
        return client

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:  # noqa: FBT001, FBT002 - redis-py's signature
        """As redis-py's; what its execute() does in a switch is said there."""
        made = Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        made.idempotent_commands = self._idempotent
        return made

    def pubsub(self, **kwargs: Any) -> "PubSub":
        """As redis-py's; it reconnects and subscribes again when its connection breaks."""
        return PubSub(self.connection_pool, event_dispatcher=self._event_dispatcher, **kwargs)

    async def initialize(self) -> Self:
        """As redis-py's, which connects here if the client has one connection only. Raises NoMaster if it can't."""
        made: Self = await _until_connected(self.connection_pool, super().initialize)
        return made

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """As redis-py's. The class says what is raised."""
        block = commands.blocks(args)
        if block is None:
            return await self._insist(args, options)
        return await self._insist(args, {**options, BLOCK: block}, time.monotonic())

    async def _insist(self, command: tuple[Any, ...], options: dict[str, Any], started: float = 0.0) -> Any:
        patience: Patience | None = None
        sent = command
        while True:
            try:
                return await super().execute_command(*sent, **options)
            except RedisError as error:
                pool, failure = self.connection_pool, error
                if isinstance(error, NoScriptError):
                    again = await self._load(command)
                else:
                    again = may_repeat(error, command, writable=pool.locator.writable, idempotent=self._idempotent)
                if not again:
                    raise
            if patience is None or isinstance(failure, Unblocked):
                patience = Patience.of(pool)
            await asyncio.sleep(patience.pause(failure))
            if started:
                sent = commands.shortened(command, time.monotonic() - started)
                options[BLOCK] = commands.blocks(sent)

    async def _load(self, command: tuple[Any, ...]) -> bool:
        """Load the script that EVALSHA names, which this master doesn't know. False if nor do we."""
        script = self.connection_pool.scripts.get(str_if_bytes(command[1]).lower())
        return script is not None and bool(await self._insist(("SCRIPT LOAD", script), {}))

    async def script_load(self, script: Any) -> Any:
        """As redis-py's; a master that doesn't know the script gets it again when EVALSHA asks for it."""
        text = script if isinstance(script, bytes) else str(script).encode()
        self.connection_pool.scripts[hashlib.sha1(text).hexdigest()] = script  # noqa: S324 - redis names scripts so
        return await super().script_load(script)

    def scan_iter(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:  # type: ignore[override] # redis-py infers the blocking one
        """As redis-py's; it begins again where the master has moved, so that elements may come twice."""
        return _whole(super().scan_iter, *args, **kwargs)

    def sscan_iter(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:  # type: ignore[override] # redis-py infers the blocking one
        """See scan_iter."""
        return _whole(super().sscan_iter, *args, **kwargs)

    def hscan_iter(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:  # type: ignore[override] # redis-py infers the blocking one
        """See scan_iter."""
        return _whole(super().hscan_iter, *args, **kwargs)

    def zscan_iter(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:  # type: ignore[override] # redis-py infers the blocking one
        """See scan_iter."""
        return _whole(super().zscan_iter, *args, **kwargs)

    async def _send_command_parse_response(self, conn: Any, command_name: str, *args: Any, **options: Any) -> Any:
        """As redis-py's. A transport may fail after it has sent everything: then, too, nobody knows."""
        if not conn.is_connected:
            await conn.connect()
        scans = command_name in scan.COMMANDS
        if scans:
            scan.check(args, conn.endpoint)
        try:
            reply = await super()._send_command_parse_response(conn, command_name, *args, **options)
            return scan.marked(reply, conn.endpoint) if scans else reply
        except BROKEN as error:
            if answered(error):
                raise
            await conn.leave()
            raise Unanswered(f"sent to {conn.endpoint} and not answered: {error}") from error

    async def parse_response(self, connection: Any, command_name: str | bytes, **options: Any) -> Any:
        """As redis-py's; the one place where a command has been sent, and its reply is awaited."""
        block = options.pop(BLOCK, None)
        if block is not None:
            connection.reply_timeout = reply_timeout(block, connection.socket_timeout)
        try:
            return await super().parse_response(connection, command_name, **options)
        except REFUSALS as refusal:
            await connection.moved(refusal)
            raise
        except BROKEN as error:
            if answered(error):
                raise
            await connection.leave()
            raise Unanswered(f"sent to {connection.endpoint} and not answered: {error}") from error
        finally:
            if block is not None:
                connection.reply_timeout = DEFAULT


async def _whole(iterate: Callable[..., AsyncIterator[Any]], *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
    """What `iterate` yields, from the beginning again where it is interrupted."""
    for left in reversed(range(scan.RESTARTS)):
        try:
            async for element in iterate(*args, **kwargs):
                yield element
        except ScanInterrupted:
            if not left:
                raise
        else:
            return


async def _until_connected(pool: LocatedPool, attempt: Callable[[], Awaitable[Any]]) -> Any:
    """What `attempt` returns, which is tried again while it can't connect.

    Raises NoMaster after the pool's `patience`, and at once what no other attempt would change.
    """
    patience: Patience | None = None
    while True:
        try:
            return await attempt()
        except BROKEN as error:
            if isinstance(error, PERMANENT):
                raise
            patience = Patience.of(pool) if patience is None else patience
            await asyncio.sleep(patience.pause(error))


class PubSub(RedisPubSub):
    """redis-py's, which reconnects to the master and subscribes again for `patience` seconds, then raises NoMaster.

    Messages that are published in between don't reach it, as ever with PUBLISH.
    """

    connection_pool: LocatedPool
    connection: LocatedConnection | None  # type: ignore[assignment] # redis-py infers None

    async def connect(self) -> None:
        """As redis-py's, but it tries again."""
        await _until_connected(self.connection_pool, super().connect)

    async def parse_response(self, block: bool = True, timeout: float = 0) -> Any:  # noqa: ASYNC109, FBT001, FBT002 - redis-py's signature
        """As redis-py's, after connecting again where that is needed."""
        if self.connection is not None and not self.connection.is_connected:
            await self.connect()
        return await super().parse_response(block, timeout)

    async def _execute(self, conn: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        execute = super()._execute  # it tries to reconnect once
        return await _until_connected(self.connection_pool, lambda: execute(conn, command, *args, **kwargs))
