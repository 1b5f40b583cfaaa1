"""SRV look-ups against the SkyDNS stand-in, and against a server that answers what SkyDNS doesn't."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from safe_redis.errors import SettingsError, Unresolved
from safe_redis.srv import Endpoint, Resolver
from safe_redis.topology import Address
from sandbox.etcd import EtcdServer
from sandbox.process import free_port
from sandbox.skydns import SkyDns


@pytest.fixture(scope="module")
def skydns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EtcdServer, SkyDns]]:
    directory: Path = tmp_path_factory.mktemp("srv")
    with EtcdServer(directory / "etcd") as etcd, SkyDns(etcd.url, directory / "skydns") as server:
        register(etcd, "redis-1/core-01", "10.0.0.1", 49151)
        register(etcd, "redis-1/core-06", "fd00::6", 49156)
        register(etcd, "redis-1/empty", "", 49157)
        yield etcd, server


@pytest.fixture
def resolver(skydns: tuple[EtcdServer, SkyDns]) -> Resolver:
    return Resolver(["127.0.0.1"], skydns[1].port)


def register(etcd: EtcdServer, key: str, host: str, port: int) -> None:
    etcd.keys.put(f"/skydns/docker/{key}", json.dumps({"host": host, "port": port}))


class Zone:
    """A name server over UDP that answers from a table of what to ask for; else NXDOMAIN."""

    def __init__(self) -> None:
        self.port = free_port()
        self.answers: dict[tuple[str, str], list[str]] = {}
        self.additional: dict[tuple[str, str], list[str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                wire, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            query = dns.message.from_wire(wire)
            question = query.question[0]
            asked = (question.name.to_text(omit_final_dot=True), question.rdtype.name)
            self.asked.append(asked)
            response = dns.message.make_response(query)
            for section, table in ((response.answer, self.answers), (response.additional, self.additional)):
                section.extend(_rrset(line) for line in table.get(asked, []))
            if asked not in self.answers:
                response.set_rcode(dns.rcode.NXDOMAIN)
            response.flags |= dns.flags.AA
            self.socket.sendto(response.to_wire(), peer)


def _rrset(line: str) -> dns.rrset.RRset:
    name, ttl, _, kind, data = line.split(maxsplit=4)
    return dns.rrset.from_text(name, int(ttl), "IN", kind, data)


@pytest.fixture
def zone() -> Iterator[Zone]:
    server = Zone()
    yield server
    server.socket.close()


def test_finds_address_and_port_of_a_name(resolver: Resolver) -> None:
    assert resolver.endpoint(Address("core-01.redis-1.docker")) == Endpoint("10.0.0.1", 49151)


def test_finds_an_ipv6_address(resolver: Resolver) -> None:
    endpoint = resolver.endpoint(Address("core-06.redis-1.docker"))
    assert endpoint == Endpoint("fd00::6", 49156)
    assert str(endpoint) == "[fd00::6]:49156"


def test_a_given_port_wins_over_the_records(resolver: Resolver) -> None:
    assert resolver.endpoint(Address("core-01.redis-1.docker", 7)) == Endpoint("10.0.0.1", 7)


def test_addresses_need_no_name_server() -> None:
    nobody = Resolver(["127.0.0.1"], 1)
    assert nobody.endpoint(Address("10.0.0.9")) == Endpoint("10.0.0.9", 6379)
    assert nobody.endpoint(Address("::1", 6380)) == Endpoint("::1", 6380)


def test_names_are_found_by_the_search_list(skydns: tuple[EtcdServer, SkyDns]) -> None:
    resolver = Resolver(["127.0.0.1"], skydns[1].port, ["other.docker", "redis-1.docker"])
    assert resolver.srv("core-01") == Endpoint("10.0.0.1", 49151)


def test_nothing_is_cached(skydns: tuple[EtcdServer, SkyDns], resolver: Resolver) -> None:
    register(skydns[0], "redis-1/moving", "10.0.0.7", 1)
    assert resolver.srv("moving.redis-1.docker") == Endpoint("10.0.0.7", 1)
    register(skydns[0], "redis-1/moving", "10.0.0.8", 2)
    assert resolver.srv("moving.redis-1.docker") == Endpoint("10.0.0.8", 2)


def test_a_name_without_a_record_is_unresolved(resolver: Resolver) -> None:
    with pytest.raises(Unresolved, match=r"core-09.redis-1.docker has no SRV record \(NXDOMAIN\)"):
        resolver.srv("core-09.redis-1.docker")


def test_a_record_with_an_empty_host_is_told_with_the_remedy(resolver: Resolver) -> None:
    with pytest.raises(Unresolved, match=r"empty.redis-1.docker: .* start registrator with -ip"):
        resolver.srv("empty.redis-1.docker")


def test_a_name_server_that_is_silent_is_named_with_the_time_waited() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(Unresolved, match=rf"core-01: no answer from 127.0.0.1 port {port} within 0.3 s"):
            Resolver(["127.0.0.1"], port, timeout=0.3).srv("core-01")


def test_a_name_that_cannot_be_asked_for_is_unresolved(resolver: Resolver) -> None:
    for name in ("a..b", "x" * 64, ".".join(["x" * 60] * 5)):
        with pytest.raises(Unresolved):
            resolver.srv(name)


def test_the_lowest_priority_of_several_answers_is_used_with_a_warning(
    zone: Zone, caplog: pytest.LogCaptureFixture
) -> None:
    zone.answers["x.docker", "SRV"] = [
        "x.docker. 60 IN SRV 20 99 2 b.x.docker.",
        "x.docker. 60 IN SRV 10 50 1 a.x.docker.",
    ]
    zone.additional["x.docker", "SRV"] = ["b.x.docker. 60 IN A 10.0.0.2", "a.x.docker. 60 IN A 10.0.0.1"]
    with caplog.at_level(logging.WARNING):
        assert Resolver(["127.0.0.1"], zone.port).srv("x.docker") == Endpoint("10.0.0.1", 1)
    assert "found 2 SRV records for x.docker, taking a.x.docker:1" in caplog.text
    assert zone.asked == [("x.docker", "SRV")]


def test_a_target_without_an_additional_record_is_looked_up(zone: Zone) -> None:
    zone.answers["x.docker", "SRV"] = ["x.docker. 60 IN SRV 10 100 7 host.example."]
    zone.answers["host.example", "A"] = ["host.example. 60 IN A 10.0.0.7"]
    assert Resolver(["127.0.0.1"], zone.port).srv("x.docker") == Endpoint("10.0.0.7", 7)


def test_a_target_with_an_ipv6_address_only_is_looked_up(zone: Zone) -> None:
    zone.answers["x.docker", "SRV"] = ["x.docker. 60 IN SRV 10 100 7 host.example."]
    zone.answers["host.example", "A"] = []
    zone.answers["host.example", "AAAA"] = ["host.example. 60 IN AAAA fd00::7"]
    assert Resolver(["127.0.0.1"], zone.port).srv("x.docker") == Endpoint("fd00::7", 7)


def test_a_target_without_an_address_is_unresolved(zone: Zone) -> None:
    zone.answers["x.docker", "SRV"] = ["x.docker. 60 IN SRV 10 100 7 host.example."]
    with pytest.raises(Unresolved, match=r"x.docker: its SRV record's target has no address: host.example"):
        Resolver(["127.0.0.1"], zone.port).srv("x.docker")


def test_a_record_with_port_0_is_unresolved(zone: Zone) -> None:
    zone.answers["x.docker", "SRV"] = ["x.docker. 60 IN SRV 10 100 0 host.example."]
    with pytest.raises(Unresolved, match=r"x.docker: the SRV record has port 0"):
        Resolver(["127.0.0.1"], zone.port).srv("x.docker")


def test_name_servers_and_search_list_are_checked() -> None:
    with pytest.raises(SettingsError, match=r"NAMESERVERS='ns.docker': not an IP address"):
        Resolver(["ns.docker"])
    with pytest.raises(SettingsError, match=r"SEARCHLIST='a..b'"):
        Resolver(["127.0.0.1"], searchlist=["a..b"])
