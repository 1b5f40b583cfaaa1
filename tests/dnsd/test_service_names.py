"""The names of RFC 2782, which programs such as HAProxy ask for."""

import json

from dns.rdtypes.IN.SRV import SRV

from sandbox.skydns import SkyDns
from tests.dnsd.conftest import DOMAIN, Dnsd


def ports(skydns: SkyDns, name: str) -> list[int]:
    records = [record for rrset in skydns.query(f"{name}.redis-1.docker").answer for record in rrset]
    return sorted(record.port for record in records if isinstance(record, SRV))


def test_master_and_slaves_are_found_under_the_names_of_rfc_2782(dnsd: Dnsd, skydns: SkyDns) -> None:
    assert dnsd.put("core-01", "core-02", "core-03") == (200, "OK\n")
    assert ports(skydns, "_redis-master._tcp") == [49151]
    assert ports(skydns, "_redis-slaves._tcp") == [49152, 49153]
    assert ports(skydns, "_redis._tcp") == [49151, 49152, 49153]
    assert ports(skydns, "slaves") == [49152, 49153]


def test_they_follow_a_switch_and_lose_what_is_no_longer_listed(dnsd: Dnsd, skydns: SkyDns) -> None:
    dnsd.put("core-01", "core-02", "core-03")
    dnsd.put("core-02", "core-01")
    assert ports(skydns, "_redis-master._tcp") == [49152]
    assert ports(skydns, "_redis-slaves._tcp") == [49151]
    assert ports(skydns, "_redis._tcp") == [49151, 49152]


def test_a_slave_that_is_left_out_is_named_once(dnsd: Dnsd) -> None:
    dnsd.etcd.keys.delete(f"{DOMAIN}/core-02")
    status, text = dnsd.put("core-01", "core-02")
    assert status == 202
    assert text.count("core-02.redis-1.docker has no record") == 1


def test_an_instance_may_not_have_the_name_of_the_directory(dnsd: Dnsd) -> None:
    status, text = dnsd.put_raw(json.dumps({"master": {"address": "_tcp.redis-1.docker"}, "slaves": []}))
    assert status == 400
    assert "is a name that dnsd publishes" in text


def test_two_instances_of_one_name_are_both_among_all_of_them(dnsd: Dnsd, skydns: SkyDns) -> None:
    named, with_port = "core-01", {"address": "core-01.redis-1.docker", "port": 6380}
    directory = f"{DOMAIN}/_tcp/_redis"

    def keys() -> set[str]:
        return {node["key"] for node in (dnsd.etcd.keys.node(directory) or {}).get("nodes", [])}

    assert dnsd.put(named, with_port) == (200, "OK\n")
    assert ports(skydns, "_redis._tcp") == [6380, 49151]
    before = keys()
    assert dnsd.put(with_port, named) == (200, "OK\n")
    assert ports(skydns, "_redis._tcp") == [6380, 49151]
    assert keys() == before, "nothing changes there when the master does"
