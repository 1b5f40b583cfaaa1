"""The two ways to send a write: by safe_redis.client, or by one plain connection that is opened anew after an error."""

from collections.abc import Callable

from redis.connection import Connection
from redis.exceptions import RedisError

from redis_counter.master import ANSWER_TIMEOUT, CONNECT_TIMEOUT, Master
from safe_redis import client

CLIENT_PATIENCE = 5.0
"""Seconds after which safe_redis.client reports that there is no master; the counter may have more patience."""


class PlainSender:
    """What a careful program does without our client: look the master up, connect, and look again after an error."""

    def __init__(self, master: Master, key: str, stopped: Callable[[], bool]) -> None:
        self._master = master
        self._stopped = stopped
        name = key.encode()
        self._command = b"*3\r\n$5\r\nRPUSH\r\n$%d\r\n%b\r\n$36\r\n" % (len(name), name)
        self._connection: Connection | None = None

    def send(self, value: str) -> None:
        """Once, on a connection that is opened if there is none. NoMasterError where no master is found."""
        connection = self._connection or self._master.connection(self._stopped)
        self._connection = connection
        try:
            connection.send_packed_command([self._command + value.encode() + b"\r\n"])
            connection.read_response()
        except RedisError:
            self.close()
            raise

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None


class ClientSender:
    """Writes by safe_redis.client, as an application would."""

    def __init__(self, nameservers: tuple[str, ...], port: int, service: str, key: str, patience: float) -> None:
        self._key = key
        self._client = client.connect(
            service,
            nameservers=nameservers,
            nameservers_port=port,
            patience=min(CLIENT_PATIENCE, patience),
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=ANSWER_TIMEOUT,
        )

    def send(self, value: str) -> None:
        """As an application would: errors are those that it would see."""
        self._client.rpush(self._key, value)

    def close(self) -> None:
        """Disconnect."""
        self._client.close()
