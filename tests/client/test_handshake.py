"""A connection is used only after its handshake has proven that it leads to a master, however the handshake ends."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import redis
from redis.cache import CacheConfig
from redis.exceptions import InvalidResponse

from safe_redis import client as safe
from safe_redis.client import aio
from tests.client.conftest import SERVICE, Group
from tests.client.test_aio import connected

GARBAGE: Mapping[str, str] = {"rename-command": 'ROLE ""\nrename-command DBSIZE ROLE'}
"""A server that answers ROLE with the number of its keys."""


class Vault(redis.CredentialProvider):
    """Fails at first, with an error that is none of redis-py's."""

    def __init__(self) -> None:
        self._asked = 0

    def get_credentials(self) -> tuple[str]:
        """A password."""
        self._asked += 1
        if self._asked == 1:
            raise LookupError("the vault is sealed")
        return ("secret",)


def guarded(group: Group) -> dict[str, Any]:
    """DNS names the slave, whose role would send the client away; its options."""
    group.publish("b")
    return {"credential_provider": Vault(), "patience": 0.2}


def test_a_server_that_answers_role_with_something_else_is_not_used(group: Group) -> None:
    group.add("a", config=GARBAGE)
    group.publish("a")
    client = group.connect()
    for _ in range(2):
        with pytest.raises(InvalidResponse, match="not a reply to ROLE: 0"):
            client.incr("counter")
    assert group["a"].client().get("counter") is None


async def test_a_server_that_answers_role_with_something_else_is_not_used_with_asyncio(group: Group) -> None:
    group.add("a", config=GARBAGE)
    group.publish("a")
    async with connected(group) as client:
        for _ in range(2):
            with pytest.raises(InvalidResponse, match="not a reply to ROLE: 0"):
                await client.incr("counter")
    assert group["a"].client().get("counter") is None


def test_a_connection_whose_handshake_failed_is_not_used(pair: Group) -> None:
    """It would be without its password, at an instance whose role nobody has asked for."""
    client = pair.connect(**guarded(pair))
    with pytest.raises(LookupError):
        client.get("key")
    with pytest.raises(redis.RedisError):
        client.get("key")
    assert pair.executed("b", "get") == 0


async def test_a_connection_whose_handshake_failed_is_not_used_with_asyncio(pair: Group) -> None:
    async with connected(pair, **guarded(pair)) as client:
        with pytest.raises(LookupError):
            await client.get("key")
        with pytest.raises(redis.RedisError):
            await client.get("key")
    assert pair.executed("b", "get") == 0


@pytest.fixture
def locked(pair: Group) -> Iterator[Group]:
    """A pair whose master asks for a password."""
    pair["a"].client().config_set("requirepass", "secret")
    yield pair
    pair["a"].client(password="secret").config_set("requirepass", "")


def test_a_subscriber_with_a_wrong_password_is_told_so_at_once(locked: Group) -> None:
    client = locked.connect(password="wrong", patience=60)
    with pytest.raises(redis.AuthenticationError):
        client.pubsub().subscribe("channel")


async def test_a_subscriber_with_a_wrong_password_is_told_so_at_once_with_asyncio(locked: Group) -> None:
    async with connected(locked, password="wrong", patience=60) as client:
        with pytest.raises(redis.AuthenticationError):
            await client.pubsub().subscribe("channel")


@pytest.mark.parametrize("connect", [safe.connect, safe.connect_to_slaves, aio.connect, aio.connect_to_slaves])
def test_client_side_caching_is_declined(connect: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="no client-side caching here: cache_config"):
        connect(SERVICE, nameservers=["127.0.0.1"], protocol=3, cache_config=CacheConfig())
