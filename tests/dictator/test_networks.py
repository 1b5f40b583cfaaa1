"""Whom the dictator talks to: outside of ALLOWED_NETWORKS nobody gets a connection, let alone a password."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dictator.apply import Dictator
from dictator.connection import Access
from dictator.instance import Instance
from dictator.link import NoAnswer, OutsideNetworks
from dictator.redis_link import RedisLink
from dictator.settings import Settings
from safe_redis.errors import DocumentError, TopologyError, Unavailable
from safe_redis.topology import Address, Topology
from sandbox.redis import RedisServer
from tests.dictator.group import fill
from tests.dictator.peers import LIKE_REDIS, Peer, acts_as_redis, info
from tests.dictator.service import Service

PASSWORD = "s3cret"
ALLOWED = "127.0.0.1/32"
OUTSIDE = "127.0.0.2"


@pytest.fixture
def outsider() -> Iterator[socket.socket]:
    """Listens outside of the allowed networks, and accepts nobody."""
    with socket.create_server((OUTSIDE, 0)) as listener:
        listener.setblocking(False)  # noqa: FBT003 - the socket's own signature
        yield listener


@pytest.fixture
def server(start_redis: Callable[..., RedisServer]) -> RedisServer:
    """Inside, with data."""
    server = start_redis(config={"requirepass": PASSWORD})
    fill(server.client(password=PASSWORD))
    return server


@pytest.fixture
def dictator() -> Dictator:
    """With a password and a network."""
    return Dictator(Settings(redis_password=PASSWORD, allowed_networks=(ALLOWED,), reply_timeout=0.5))


def nobody_came(listener: socket.socket) -> bool:
    try:
        listener.accept()
    except BlockingIOError:
        return True
    return False


def test_a_slave_outside_is_left_out_and_gets_no_connection(
    server: RedisServer, outsider: socket.socket, dictator: Dictator
) -> None:
    topology = Topology(Address(server.host, server.port), (Address(*outsider.getsockname()),))
    (left_out,) = dictator.apply(topology).left_out
    assert OUTSIDE in left_out
    assert "is in none of ALLOWED_NETWORKS" in left_out
    assert any(OUTSIDE in line for line in dictator.dry_run(topology))
    assert OUTSIDE in json.dumps(dictator.state(), default=str)
    assert nobody_came(outsider)


def test_a_master_outside_is_refused_and_gets_no_connection(
    server: RedisServer, outsider: socket.socket, dictator: Dictator
) -> None:
    topology = Topology(Address(*outsider.getsockname()), (Address(server.host, server.port),))
    for attempt in (dictator.apply, dictator.dry_run):
        with pytest.raises(Unavailable, match=f"{OUTSIDE}.* is in none of ALLOWED_NETWORKS"):
            attempt(topology)
    assert nobody_came(outsider)


def test_a_master_that_a_slave_claims_to_have_gets_no_connection(outsider: socket.socket, dictator: Dictator) -> None:
    host, port = outsider.getsockname()
    claim = info(role="slave", master_host=host, master_port=str(port), slave_repl_offset="0", db0="keys=1")
    with Peer(acts_as_redis(LIKE_REDIS, claim)) as first, Peer(acts_as_redis(LIKE_REDIS, claim)) as second:
        topology = Topology(Address(first.host, first.port), (Address(second.host, second.port),))
        with pytest.raises(TopologyError):
            dictator.apply(topology)
        assert b"INFO" in first.received
        assert nobody_came(outsider)


@pytest.mark.parametrize(
    ("networks", "host", "allowed"),
    [
        ((), "127.0.0.1", True),
        (("127.0.0.0/8",), "127.0.0.1", True),
        (("10.0.0.0/8", "127.0.0.1/32"), "127.0.0.1", True),
        (("127.0.0.1",), "127.0.0.1", True),
        (("127.0.0.1",), "::ffff:127.0.0.1", True),
        (("10.0.0.0/8",), "127.0.0.1", False),
        (("10.0.0.0/8",), "::ffff:127.0.0.1", False),
        (("::/0",), "127.0.0.1", False),
        (("::1/128",), "::1", True),
        (("0.0.0.0/0",), "::1", False),
        (("127.0.0.0/8",), "localhost", True),
        (("10.0.0.0/8",), "localhost", False),
    ],
)
def test_an_address_is_in_a_network_or_not(networks: tuple[str, ...], host: str, allowed: bool) -> None:  # noqa: FBT001
    # nobody listens on port 1: what is allowed is refused by the kernel, what isn't by us
    settings = Settings(allowed_networks=networks)
    link = RedisLink(Instance("core-01", host, 1), Access(networks=settings.networks))
    with pytest.raises(NoAnswer) as error:
        link.send(("PING",))
    assert isinstance(error.value, OutsideNetworks) is not allowed


def test_a_document_with_too_many_instances_is_refused() -> None:
    small = Dictator(Settings(max_instances=2))
    three = Topology(Address("10.0.0.1"), (Address("10.0.0.2"), Address("10.0.0.3")))
    for attempt in (small.apply, small.dry_run):
        with pytest.raises(DocumentError, match="names 3 instances, MAX_INSTANCES is 2"):
            attempt(three)


def test_the_service_refuses_twenty_thousand_instances(tmp_path: Path) -> None:
    addresses = [{"address": f"127.1.{number >> 8}.{number & 255}"} for number in range(20_000)]
    with Service(tmp_path / "log") as service:
        answer = service.put(json.dumps({"master": {"address": "127.0.0.1"}, "slaves": addresses}))
        assert answer.status == 400
        assert "MAX_INSTANCES is 200" in answer.body


@pytest.mark.parametrize(
    ("environment", "warned"),
    [
        ({}, False),
        ({"REDIS_PASSWORD": PASSWORD}, True),
        ({"REDIS_PASSWORD": PASSWORD, "ALLOWED_NETWORKS": "10.0.0.0/8 127.0.0.0/8"}, False),
    ],
)
def test_a_password_without_networks_is_warned_of(
    tmp_path: Path,
    environment: dict[str, str],
    warned: bool,  # noqa: FBT001
) -> None:
    with ExitStack() as stack:
        service = stack.enter_context(Service(tmp_path / "log", **environment))
        assert service.answers()
        assert ("ALLOWED_NETWORKS is not set" in service.log) is warned
