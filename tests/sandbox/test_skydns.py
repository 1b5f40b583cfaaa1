"""The SkyDNS stand-in, compared with recorded answers of a real SkyDNS, and its known quirks."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from sandbox.skydns import SkyDns

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "skydns-answers.json").read_text())
SECTIONS = ("answer", "additional", "authority")
HOUR = 3600


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SkyDns]:
    """A stand-in over an etcd that holds the records of the recording."""
    directory = tmp_path_factory.mktemp("recorded")
    with EtcdServer(directory / "etcd") as etcd, SkyDns(etcd.url, directory / "skydns") as skydns:
        for key, value in RECORDED["records"].items():
            etcd.keys.put(key, json.dumps(value), ttl=RECORDED["ttl"])
        yield skydns


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("query", RECORDED["queries"], ids=lambda q: f"{q['name']} {q['type']}")
def test_answers_as_recorded(recorded: SkyDns, query: dict[str, Any], transport: str) -> None:
    response = recorded.query(query["name"], query["type"], tcp=transport == "tcp")
    assert dns.rcode.to_text(response.rcode()) == query["status"]
    for section in SECTIONS:
        assert _lines(response, section) == sorted(map(_without_time, query[section]))


@pytest.mark.parametrize("query", RECORDED["queries"], ids=lambda q: f"{q['name']} {q['type']}")
def test_the_ttl_is_that_of_the_key(recorded: SkyDns, query: dict[str, Any]) -> None:
    response = recorded.query(query["name"], query["type"])
    for rrset in (*response.answer, *response.additional):
        if rrset.rdtype != dns.rdatatype.SOA:
            assert RECORDED["ttl"] - 60 < rrset.ttl <= RECORDED["ttl"]


def test_the_serial_is_the_hour(recorded: SkyDns) -> None:
    before = time.time()
    serial = recorded.query("docker", "SOA").answer[0][0].serial
    assert serial % HOUR == 0
    assert before - HOUR <= serial <= time.time()


def test_answers_from_what_etcd_holds_now(etcd: EtcdServer, skydns: SkyDns) -> None:
    assert _status(skydns, "core-01.redis-1.docker") == "NXDOMAIN"
    _put(etcd, "core-01", host="127.0.0.1", port=1)
    assert _ports(skydns, "core-01.redis-1.docker") == {1}
    _put(etcd, "core-01", host="127.0.0.1", port=2)
    assert _ports(skydns, "core-01.redis-1.docker") == {2}
    etcd.keys.delete("/skydns/docker/redis-1/core-01")
    assert _status(skydns, "core-01.redis-1.docker") == "NXDOMAIN"


def test_a_key_that_expires_is_gone(etcd: EtcdServer, skydns: SkyDns) -> None:
    etcd.keys.put("/skydns/docker/redis-1/core-01", '{"host": "127.0.0.1", "port": 1}', ttl=1)
    wait_until(lambda: _status(skydns, "core-01.redis-1.docker") == "NXDOMAIN", "the record expires")


def test_a_directory_without_keys_has_no_data(etcd: EtcdServer, skydns: SkyDns) -> None:
    _put(etcd, "slaves/core-02", host="127.0.0.1", port=1)
    etcd.keys.delete("/skydns/docker/redis-1/slaves/core-02")
    response = skydns.query("slaves.redis-1.docker")
    assert dns.rcode.to_text(response.rcode()) == "NOERROR"
    assert not response.answer
    assert response.authority


def test_one_malformed_value_breaks_the_whole_subtree(etcd: EtcdServer, skydns: SkyDns) -> None:
    _put(etcd, "core-01", host="127.0.0.1", port=1)
    etcd.keys.put("/skydns/docker/redis-1/core-02", '{"host": "127.0.0.1", "port": "2"}')
    assert _status(skydns, "redis-1.docker") == "SERVFAIL"
    assert _status(skydns, "core-02.redis-1.docker") == "SERVFAIL"
    assert _ports(skydns, "core-01.redis-1.docker") == {1}
    assert not skydns.query("redis-1.docker", "A").answer


def test_an_empty_host_gives_the_root_as_target(etcd: EtcdServer, skydns: SkyDns) -> None:
    _put(etcd, "core-01", host="", port=1)
    response = skydns.query("core-01.redis-1.docker")
    assert _lines(response, "answer") == ["core-01.redis-1.docker. SRV 10 100 1 ."]
    assert not response.additional


def test_an_ipv6_host_gives_an_aaaa(etcd: EtcdServer, skydns: SkyDns) -> None:
    _put(etcd, "core-01", host="fd00::1", port=1)
    name = "core-01.redis-1.docker"
    assert _lines(skydns.query(name), "answer") == [f"{name}. SRV 10 100 1 {name}."]
    assert _lines(skydns.query(name), "additional") == [f"{name}. AAAA fd00::1"]
    assert _lines(skydns.query(name, "AAAA"), "answer") == [f"{name}. AAAA fd00::1"]
    assert not skydns.query(name, "A").answer


def test_a_host_name_outside_is_the_target_without_address(etcd: EtcdServer, skydns: SkyDns) -> None:
    _put(etcd, "core-01", host="host.example", port=1)
    response = skydns.query("core-01.redis-1.docker")
    assert _lines(response, "answer") == ["core-01.redis-1.docker. SRV 10 100 1 host.example."]
    assert not response.additional
    assert not skydns.query("core-01.redis-1.docker", "A").answer


def test_a_host_name_inside_is_the_target_with_its_address(etcd: EtcdServer, skydns: SkyDns) -> None:
    _put(etcd, "core-01", host="machine-1.docker", port=1)
    etcd.keys.put("/skydns/docker/machine-1", '{"host": "10.0.0.1"}')
    name = "core-01.redis-1.docker"
    response = skydns.query(name)
    assert _lines(response, "answer") == [f"{name}. SRV 10 100 1 machine-1.docker."]
    assert _lines(response, "additional") == ["machine-1.docker. A 10.0.0.1"]
    assert _lines(skydns.query(name, "A"), "answer") == [
        f"{name}. CNAME machine-1.docker.",
        "machine-1.docker. A 10.0.0.1",
    ]


def test_names_that_refer_to_each_other_have_no_address(etcd: EtcdServer, skydns: SkyDns) -> None:
    _put(etcd, "core-01", host="core-02.redis-1.docker", port=1)
    _put(etcd, "core-02", host="core-01.redis-1.docker", port=1)
    assert not skydns.query("core-01.redis-1.docker", "A").answer


def test_priority_and_weight_of_the_record_are_used(etcd: EtcdServer, skydns: SkyDns) -> None:
    _put(etcd, "core-01", host="10.0.0.1", port=1, priority=5, weight=30)
    _put(etcd, "core-02", host="10.0.0.2", port=2, priority=5, weight=10)
    _put(etcd, "core-03", host="10.0.0.3", port=3)
    (answer,) = skydns.query("redis-1.docker").answer
    assert {(srv.port, srv.priority, srv.weight) for srv in answer} == {
        (1, 5, 75),
        (2, 5, 25),
        (3, 10, 100),
    }


def test_an_answer_too_long_for_udp_is_flagged_and_whole_over_tcp(etcd: EtcdServer, skydns: SkyDns) -> None:
    for number in range(50):
        _put(etcd, f"slaves/core-{number}", host="10.0.0.1", port=number + 1)
    cut = skydns.query("slaves.redis-1.docker")
    assert cut.flags & dns.flags.TC
    assert not cut.answer
    assert _ports(skydns, "slaves.redis-1.docker", tcp=True) == set(range(1, 51))


def test_additional_records_too_long_for_udp_are_left_out(etcd: EtcdServer, skydns: SkyDns) -> None:
    for number in range(8):
        _put(etcd, f"slaves/core-{number}", host=f"10.0.0.{number}", port=1)
    response = skydns.query("slaves.redis-1.docker")
    assert not response.flags & dns.flags.TC
    assert len(response.answer[0]) == 8
    assert sum(map(len, response.additional)) < 8


def test_another_domain_and_a_lost_etcd_are_server_failures(etcd: EtcdServer, skydns: SkyDns) -> None:
    assert _status(skydns, "example.org") == "SERVFAIL"
    _put(etcd, "core-01", host="10.0.0.1", port=1)
    etcd.kill()
    assert _status(skydns, "core-01.redis-1.docker") == "SERVFAIL"
    etcd.start()
    assert _ports(skydns, "core-01.redis-1.docker") == {1}


def _put(etcd: EtcdServer, name: str, **record: object) -> None:
    etcd.keys.put(f"/skydns/docker/redis-1/{name}", json.dumps(record))


def _status(skydns: SkyDns, name: str) -> str:
    return dns.rcode.to_text(skydns.query(name).rcode())


def _ports(skydns: SkyDns, name: str, *, tcp: bool = False) -> set[int]:
    return {srv.port for srv in skydns.query(name, tcp=tcp).answer[0]}


def _lines(response: dns.message.Message, section: str) -> list[str]:
    rrsets = getattr(response, section)
    lines = [f"{r.name} {dns.rdatatype.to_text(d.rdtype)} {d}" for r in rrsets for d in r]
    return sorted(map(_without_time, lines))


def _without_time(line: str) -> str:
    """A SOA's serial is the hour of the recording."""
    words = line.split(" ")
    if words[1] == "SOA":
        words[4] = "(hour)"
    return " ".join(words)
