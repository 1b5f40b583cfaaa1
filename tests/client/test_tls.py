"""The clients over TLS, with a CA and a certificate of their own, through a switch."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from safe_redis.client import NoMaster, OutcomeUnknown, aio
from sandbox.process import free_port, wait_until
from tests.certificates import Authority
from tests.client.conftest import SERVICE, Group


class Secure:
    """Master a with its slave b, replicating by TLS; DNS names a's TLS port. Without a certificate nobody gets in."""

    def __init__(self, group: Group, directory: Path) -> None:
        authority = Authority(directory / "ca")
        server, client = authority.issue("server"), authority.issue("client")
        files = {"tls-cert-file": server.cert, "tls-key-file": server.key, "tls-ca-cert-file": authority.ca}
        self.group = group
        self.ports = {name: free_port() for name in "ab"}
        for name, port in self.ports.items():
            # the plain port stays open for the test's own questions
            config = files | {"tls-port": str(port), "tls-replication": "yes", "tls-auth-clients": "yes"}
            group.servers[name] = group.start(name, config=config)
        self.follow("b", "a")
        wait_until(lambda: group["b"].client().role()[3] == "connected", "b follows a", 20)
        group.publish("a", self.ports["a"])
        self.trusting = {"ssl": True, "ssl_ca_certs": authority.ca}
        self.options: dict[str, Any] = {**self.trusting, "ssl_certfile": client.cert, "ssl_keyfile": client.key}

    def follow(self, slave: str, master: str) -> None:
        """Make it a slave, by the master's TLS port."""
        self.group[slave].client().replicaof(self.group[master].host, str(self.ports[master]))

    def switch(self) -> None:
        """From a to b; DNS isn't told."""
        self.group.fence()
        self.group.promote()
        self.follow("a", "b")


@pytest.fixture
def secure(group: Group, tmp_path: Path) -> Secure:
    """Both, running."""
    return Secure(group, tmp_path)


def test_follows_a_switch_over_tls(secure: Secure) -> None:
    client = secure.group.connect(**secure.options)
    assert client.incr("counter") == 1
    secure.switch()
    assert client.incr("counter") == 2
    assert secure.group["b"].client().get("counter") == "2"


async def test_follows_a_switch_over_tls_with_asyncio(secure: Secure) -> None:
    client = aio.connect(SERVICE, **secure.group.nameserver(), **secure.options)
    try:
        assert await client.incr("counter") == 1
        await asyncio.to_thread(secure.switch)
        assert await client.incr("counter") == 2
    finally:
        await client.aclose()
    assert secure.group["b"].client().get("counter") == "2"


async def test_nothing_is_left_open_to_a_former_master_that_hangs(secure: Secure) -> None:
    """TLS waits for the peer to close its side, for longer than the loop runs. pytest reports what is left open."""
    client = aio.connect(SERVICE, socket_timeout=0.2, **secure.group.nameserver(), **secure.options)
    try:
        assert await client.incr("counter") == 1
        await asyncio.to_thread(secure.switch)
        secure.group.publish("b", secure.ports["b"])
        secure.group["a"].pause()
        with pytest.raises(OutcomeUnknown):
            await client.incr("counter")
        assert await client.incr("counter") == 2
    finally:
        await client.aclose()


def test_a_client_without_a_certificate_executes_nothing(secure: Secure) -> None:
    client = secure.group.connect(patience=0.2, **secure.trusting)
    with pytest.raises(NoMaster):
        client.incr("counter")
    assert secure.group["a"].client().get("counter") is None


def test_a_server_of_another_ca_is_sent_nothing(secure: Secure, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    client = secure.group.connect(patience=0.2, **{**secure.options, "ssl_ca_certs": other.ca})
    with pytest.raises(NoMaster, match=r"(?i)certificate.verify.failed"):
        client.incr("counter")
    assert secure.group["a"].client().get("counter") is None
