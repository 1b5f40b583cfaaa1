"""A redis-py client that finds its master by SRV and lives through a switch.

    redis = safe_redis.client.connect("master.redis-1.docker")

gives a `redis.Redis`. `safe_redis.client.aio` has the same for asyncio. docs/clients.md says what to expect of it.
"""

from collections.abc import Sequence
from typing import Any

from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from safe_redis.client.blocking import Redis
from safe_redis.client.connection import LocatedPool
from safe_redis.client.errors import NoMaster, OutcomeUnknown, ScanInterrupted
from safe_redis.client.locate import Locator, SlaveLocator
from safe_redis.srv import Resolver

PATIENCE = 5.0
LOOK_UP_TIMEOUT = 0.5

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
    `options` are redis.Redis's: `db`, `password`, `decode_responses`, `ssl`, `max_connections` and so on; TypeError for
    those of client-side caching.
    """
    resolver = Resolver(nameservers, nameservers_port, timeout=LOOK_UP_TIMEOUT)
    return _client(LocatedPool(Locator(resolver, service), patience, **pool_options(options)))


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
    return _client(LocatedPool(SlaveLocator(resolver, service), patience, **pool_options(options)))


def _client(pool: LocatedPool) -> Redis:
    client = Redis(connection_pool=pool)
    client.auto_close_connection_pool = True
    return client


def pool_options(options: dict[str, Any]) -> dict[str, Any]:
    """The pool's options: a short handshake, and none of redis-py's own retries, which send writes twice.

    TypeError for client-side caching, whose connections can't be asked where they lead to.
    """
    if caching := {"cache", "cache_config"} & options.keys():
        raise TypeError(f"no client-side caching here: {', '.join(sorted(caching))}")
    defaults = {"protocol": 2, "driver_info": None, "socket_connect_timeout": 1.0, "socket_timeout": 5.0}
    fixed = {
        "retry": Retry(NoBackoff(), 0),
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    return {**defaults, **options, **fixed}
