"""The client of safe_redis.client for asyncio.

    redis = safe_redis.client.aio.connect("master.redis-1.docker")

gives a `redis.asyncio.Redis`.
"""

from collections.abc import Sequence
from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from safe_redis.client import LOOK_UP_TIMEOUT, PATIENCE, pool_options
from safe_redis.client.aio.client import Redis
from safe_redis.client.aio.connection import LocatedPool
from safe_redis.client.errors import NoMaster, OutcomeUnknown, ScanInterrupted
from safe_redis.client.locate import Locator, SlaveLocator
from safe_redis.srv import Resolver

__all__ = ["NoMaster", "OutcomeUnknown", "Redis", "ScanInterrupted", "connect", "connect_to_slaves"]


def connect(
    service: str,
    *,
    nameservers: Sequence[str] = (),
    nameservers_port: int = 53,
    patience: float = PATIENCE,
    **options: Any,
) -> Redis:
    """A client of the master that `service` names, an SRV record such as master.redis-1.docker.

    It connects when the first command is sent. What a server has not executed is sent again for `patience` seconds.
    `nameservers` are IP addresses (those of /etc/resolv.conf unless given); SettingsError where one isn't.
    `options` are redis.asyncio.Redis's: `db`, `password`, `decode_responses`, `ssl`, `max_connections` and so on.
    """
    resolver = Resolver(nameservers, nameservers_port, timeout=LOOK_UP_TIMEOUT)
    return _client(LocatedPool(Locator(resolver, service), patience, **_pool_options(options)))


def connect_to_slaves(
    service: str,
    *,
    nameservers: Sequence[str] = (),
    nameservers_port: int = 53,
    patience: float = PATIENCE,
    **options: Any,
) -> Redis:
    """A client for reads that may be a little old: of any slave that `service` names, such as slaves.redis-1.docker.

    Each connection goes to one of them at random that is connected to its master. A write raises ReadOnlyError. The
    arguments are those of connect().
    """
    resolver = Resolver(nameservers, nameservers_port, timeout=LOOK_UP_TIMEOUT)
    return _client(LocatedPool(SlaveLocator(resolver, service), patience, **_pool_options(options)))


def _client(pool: LocatedPool) -> Redis:
    client = Redis(connection_pool=pool)
    client.auto_close_connection_pool = True
    return client


def _pool_options(options: dict[str, Any]) -> dict[str, Any]:
    return {**pool_options(options), "retry": Retry(NoBackoff(), 0)}
