"""What dnsd and the registrar publish, as the real CoreDNS answers it from a current etcd."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest

from dnsd.records import NO_SERVICE
from safe_redis.errors import Unresolved
from safe_redis.srv import Resolver
from safe_redis.topology import Address
from sandbox.coredns import CoreDns
from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from sandbox.web import WebServer

DOMAIN = "/skydns/docker/redis-1"


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdServer]:
    with EtcdServer(tmp_path / "etcd", release="3.7", api="v3") as etcd:
        yield etcd


@pytest.fixture
def coredns(etcd: EtcdServer, tmp_path: Path) -> Iterator[CoreDns]:
    with CoreDns(etcd.url, tmp_path / "coredns") as coredns:
        yield coredns


@pytest.fixture
def dnsd(etcd: EtcdServer, tmp_path: Path) -> Iterator[WebServer]:
    """A dnsd over three registered nodes, the third under an IPv6 address."""
    for number, host in enumerate(("10.0.0.1", "10.0.0.2", "fd00::3"), 1):
        register(etcd, f"core-0{number}", host, 49150 + number)
    env = {"PUBLISH_DOMAIN": "redis-1.docker", "ETCD_PEERS": etcd.url, "ETCD_API": "v3"}
    dnsd = WebServer("dnsd", tmp_path / "dnsd.log", env)
    with dnsd:
        yield dnsd


def register(etcd: EtcdServer, name: str, host: str, port: int, ttl: int | None = None) -> None:
    etcd.keys.put(f"{DOMAIN}/{name}", json.dumps({"host": host, "port": port}), ttl=ttl)


def publish(dnsd: WebServer, master: Any, *slaves: Any) -> None:
    instances = [{"address": f"{name}.redis-1.docker"} if isinstance(name, str) else name for name in (master, *slaves)]
    status, text, *_ = dnsd.request("PUT", "/dns", json.dumps({"master": instances[0], "slaves": instances[1:]}))
    assert status == 200, text


def addresses(coredns: CoreDns, name: str) -> set[str]:
    """What an SRV query finds, as host:port, by the additional records of the same answer."""
    response = coredns.query(name)
    hosts = {rrset.name: rrset[0].address for rrset in response.additional}
    return {f"{hosts[srv.target]}:{srv.port}" for rrset in response.answer for srv in rrset}


def status(response: dns.message.Message) -> str:
    return dns.rcode.to_text(response.rcode())


def test_clients_find_master_and_slaves_with_one_query(dnsd: WebServer, coredns: CoreDns) -> None:
    publish(dnsd, "core-01", "core-02", "core-03")
    assert addresses(coredns, "master.redis-1.docker") == {"10.0.0.1:49151"}
    assert addresses(coredns, "slaves.redis-1.docker") == {"10.0.0.2:49152", "fd00::3:49153"}
    assert addresses(coredns, "core-02.slaves.redis-1.docker") == {"10.0.0.2:49152"}


def test_a_change_is_seen_by_the_next_query(dnsd: WebServer, coredns: CoreDns) -> None:
    publish(dnsd, "core-01", "core-02")
    assert addresses(coredns, "master.redis-1.docker") == {"10.0.0.1:49151"}
    publish(dnsd, "core-02", "core-01")
    assert addresses(coredns, "master.redis-1.docker") == {"10.0.0.2:49152"}
    assert addresses(coredns, "slaves.redis-1.docker") == {"10.0.0.1:49151"}
    publish(dnsd, "core-02")
    assert addresses(coredns, "slaves.redis-1.docker") == set()
    publish(dnsd, "core-02", "core-01")
    assert addresses(coredns, "slaves.redis-1.docker") == {"10.0.0.1:49151"}


def test_instances_given_by_address_are_found_too(dnsd: WebServer, coredns: CoreDns) -> None:
    publish(dnsd, {"address": "10.0.0.9", "port": 6380}, {"address": "fd00::9"})
    assert addresses(coredns, "master.redis-1.docker") == {"10.0.0.9:6380"}
    assert addresses(coredns, "slaves.redis-1.docker") == {"fd00::9:6379"}


def test_resolvers_may_cache_a_record_for_five_seconds(dnsd: WebServer, coredns: CoreDns) -> None:
    publish(dnsd, "core-01", "core-02")
    for name in ("master", "slaves"):
        response = coredns.query(f"{name}.redis-1.docker")
        assert {rrset.ttl for rrset in (*response.answer, *response.additional)} == {5}


def test_a_record_that_expires_is_gone(etcd: EtcdServer, coredns: CoreDns) -> None:
    register(etcd, "core-01", "10.0.0.1", 1, ttl=2)
    assert addresses(coredns, "core-01.redis-1.docker") == {"10.0.0.1:1"}
    wait_until(lambda: not coredns.query("core-01.redis-1.docker").answer, "the record has expired", timeout=20)


def test_the_services_resolver_reads_its_answers(etcd: EtcdServer, coredns: CoreDns) -> None:
    register(etcd, "core-01", "10.0.0.1", 49151)
    register(etcd, "core-02:redis-1-dictator:8080", "fd00::2", 49152)
    register(etcd, "alias", "core-01.redis-1.docker", 49153)
    resolver = Resolver(["127.0.0.1"], coredns.port)
    expected = {
        "core-01": "10.0.0.1:49151",
        "core-02:redis-1-dictator:8080": "[fd00::2]:49152",
        "alias": "10.0.0.1:49153",
    }
    for name, endpoint in expected.items():
        assert str(resolver.endpoint(Address(f"{name}.redis-1.docker"))).endswith(endpoint)
    with pytest.raises(Unresolved, match=r"none\.redis-1\.docker"):
        resolver.endpoint(Address("none.redis-1.docker"))


def test_the_placeholder_hides_nothing(etcd: EtcdServer, coredns: CoreDns) -> None:
    register(etcd, "slaves/core-01", "10.0.0.1", 1)
    etcd.keys.put(f"{DOMAIN}/slaves/core-02", NO_SERVICE)
    assert "10.0.0.1:1" in addresses_that_lead_somewhere(coredns, "slaves.redis-1.docker")
    assert addresses_that_lead_somewhere(coredns, "core-02.slaves.redis-1.docker") == set()


def addresses_that_lead_somewhere(coredns: CoreDns, name: str) -> set[str]:
    response = coredns.query(name)
    hosts = {rrset.name: rrset[0].address for rrset in response.additional if hasattr(rrset[0], "address")}
    return {f"{hosts[srv.target]}:{srv.port}" for rrset in response.answer for srv in rrset if srv.target in hosts}


def test_one_malformed_value_breaks_the_whole_subtree(etcd: EtcdServer, coredns: CoreDns) -> None:
    register(etcd, "core-01", "10.0.0.1", 1)
    etcd.keys.put(f"{DOMAIN}/core-02", '{"host": "10.0.0.2", "port": "2"}')
    assert status(coredns.query("redis-1.docker")) == "SERVFAIL"
    assert addresses(coredns, "core-01.redis-1.docker") == {"10.0.0.1:1"}


def test_answers_again_when_etcd_is_back(etcd: EtcdServer, coredns: CoreDns) -> None:
    register(etcd, "core-01", "10.0.0.1", 1)
    etcd.stop()
    etcd.start()

    def answered() -> bool:
        try:
            return addresses(coredns, "core-01.redis-1.docker") == {"10.0.0.1:1"}
        except (OSError, dns.exception.DNSException):
            return False

    wait_until(answered, "CoreDNS answers from etcd again", timeout=60)
