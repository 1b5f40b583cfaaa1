"""redis-py's asyncio pipeline on a LocatedPool. See safe_redis.client.pipeline, which it follows."""

import asyncio
from typing import Any, NoReturn

from redis.asyncio.client import Pipeline as RedisPipeline
from redis.exceptions import RedisError, ResponseError, WatchError

from safe_redis.client.aio.connection import LocatedConnection, LocatedPool
from safe_redis.client.attempts import BROKEN, Progress, answered, final, may_repeat
from safe_redis.client.patience import Patience
from safe_redis.client.replies import REFUSALS, Unanswered, interpret


class Pipeline(RedisPipeline):
    """A pipeline whose execute() lives through a switch."""

    connection_pool: LocatedPool
    connection: LocatedConnection | None
    idempotent_commands = False
    _received: list[Any]

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - redis-py's signature
        """As redis-py's. A transaction is sent again as one, if it was refused.

        Without a transaction, everything from the first refused command on is sent again, if none after it was
        executed; otherwise its reply is the refusal. Raises WatchError if the master moved since WATCH,
        OutcomeUnknown if the connection broke after sending (`replies` are those that came), NoMaster after `patience`.
        """
        stack, scripts, explicit, watching = self.command_stack, self.scripts, self.explicit_transaction, self.watching
        if not stack and not watching:
            return []
        progress = Progress(
            stack,
            idempotent=self.idempotent_commands,
            writable=self.connection_pool.locator.writable,
            whole=self.is_transaction or explicit,
        )
        patience: Patience | None = None
        while True:
            self.command_stack = progress.rest  # type: ignore[assignment] # the commands as redis-py has made them
            self.scripts, self.explicit_transaction = set(scripts), explicit
            failure = await self._attempt(progress, watching=watching)
            if failure is None:
                break
            patience = Patience.of(self.connection_pool) if patience is None else patience
            await asyncio.sleep(patience.pause(failure))
        if raise_on_error:
            self.raise_first_error(stack, progress.replies)
        return progress.replies

    async def _attempt(self, progress: Progress, *, watching: bool) -> RedisError | None:
        """Send what is left; the failure after which it may be sent again."""
        self._received = []
        try:
            return progress.complete(await super().execute(raise_on_error=False))
        except Unanswered as error:
            progress.broken(self._received, error)
            failure: RedisError = error
        except (*REFUSALS, *BROKEN) as error:
            if final(error, writable=self.connection_pool.locator.writable):
                raise
            failure = error
        if watching:
            self._raise_watch_error(failure)
        return failure

    async def _execute_transaction(self, connection: Any, commands: Any, raise_on_error: bool) -> list[Any]:  # noqa: ARG002, FBT001
        if not connection.is_connected:
            await self._connect_again(connection)
        try:
            replies: list[Any] = await super()._execute_transaction(connection, commands, raise_on_error=False)
        except REFUSALS as refusal:
            await connection.moved(refusal)
            self.watching = False  # with the connection
            raise
        except BROKEN as error:  # a transport may fail after it has sent everything
            await self._unanswered(connection, error)
        replies = [interpret(reply) if isinstance(reply, RedisError) else reply for reply in replies]
        await self._look_for_refusals(connection, replies)
        return replies

    async def _execute_pipeline(self, connection: Any, commands: Any, raise_on_error: bool) -> list[Any]:  # noqa: ARG002, FBT001
        if not connection.is_connected:
            await self._connect_again(connection)
        self._received = []
        try:
            replies: list[Any] = await super()._execute_pipeline(connection, commands, raise_on_error=False)
        except BROKEN as error:  # while sending: some commands may have arrived
            await connection.leave()
            raise Unanswered(f"sent in part to {connection.endpoint}: {error}") from error
        await self._look_for_refusals(connection, replies)
        return replies

    @staticmethod
    async def _look_for_refusals(connection: Any, replies: list[Any]) -> None:
        refusal = next((reply for reply in replies if isinstance(reply, REFUSALS)), None)
        if refusal is not None:
            await connection.moved(refusal)

    async def parse_response(self, connection: Any, command_name: str | bytes, **options: Any) -> Any:
        """As redis-py's; remembers what was answered before a connection broke."""
        try:
            reply = await super().parse_response(connection, command_name, **options)
        except ResponseError as error:
            self._received.append(error)
            raise
        except BROKEN as error:
            await self._unanswered(connection, error)
        self._received.append(reply)
        return reply

    async def _send_command_parse_response(self, conn: Any, command_name: Any, *args: Any, **options: Any) -> Any:
        if not conn.is_connected:
            await self._connect_again(conn)
        try:
            return await super()._send_command_parse_response(conn, command_name, *args, **options)
        except BROKEN as error:
            await self._unanswered(conn, error)

    async def _connect_again(self, connection: Any) -> None:
        """A lost connection has lost its WATCH, too."""
        if self.watching:
            self._raise_watch_error(RedisError(f"the connection to {connection.endpoint} was lost"))
        await connection.connect()

    async def _unanswered(self, connection: Any, error: RedisError) -> NoReturn:
        if answered(error):
            raise error
        await connection.leave()
        self.watching = False  # with the connection
        raise Unanswered(f"sent to {connection.endpoint} and not answered: {error}") from error

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """As redis-py's: WATCH, and what is read before MULTI. WatchError if the master moved since WATCH."""
        patience: Patience | None = None
        self._received = []
        while True:
            watching = self.watching
            try:
                return await super().immediate_execute_command(*args, **options)
            except RedisError as error:
                failure = error
                if isinstance(error, REFUSALS) and self.connection is not None:
                    await self.connection.moved(error)
                    self.watching = False
                await self._check(error, args, watching=watching)
            patience = Patience.of(self.connection_pool) if patience is None else patience
            await asyncio.sleep(patience.pause(failure))

    async def _check(self, failure: RedisError, command: tuple[Any, ...], *, watching: bool) -> None:
        """Raise unless an immediate command may be sent again."""
        harmless = self.idempotent_commands or command[0] in {"WATCH", "UNWATCH"}
        writable = self.connection_pool.locator.writable
        if not may_repeat(failure, command, writable=writable, idempotent=harmless):
            raise failure
        if watching:
            await self.reset()
            self._raise_watch_error(failure)

    @staticmethod
    def _raise_watch_error(failure: RedisError) -> NoReturn:
        raise WatchError(f"the master moved, or its connection broke, after WATCH: {failure}") from failure
