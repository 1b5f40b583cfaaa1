"""Names that lead to more than one place: one of them is stale, and may lead to another cluster's data."""

import json

import pytest

from dictator.apply import Dictator
from dictator.settings import Settings
from safe_redis.errors import Unresolved
from safe_redis.topology import Address, Topology
from sandbox.etcd import EtcdServer
from sandbox.skydns import SkyDns
from tests.dictator.group import Group, fill


class Names:
    """Registers instances of a group in DNS, and applies topologies of names."""

    def __init__(self, group: Group, etcd: EtcdServer, skydns: SkyDns) -> None:
        self.group = group
        self.keys = etcd.keys
        self._settings = Settings(nameservers=("127.0.0.1",), nameservers_port=skydns.port)

    def register(self, key: str, host: str, port: int) -> None:
        self.keys.put(f"/skydns/docker/redis-1/{key}", json.dumps({"host": host, "port": port}))

    def dictator(self) -> Dictator:
        return Dictator(self._settings)

    @staticmethod
    def topology(master: str, *slaves: str) -> Topology:
        addresses = [Address(f"{name}.redis-1.docker") for name in (master, *slaves)]
        return Topology(addresses[0], tuple(addresses[1:]))


@pytest.fixture
def names(trio: Group, etcd: EtcdServer, skydns: SkyDns) -> Names:
    names = Names(trio, etcd, skydns)
    for name in "abc":
        names.register(f"{name}/1", "127.0.0.1", trio.servers[name].port)
    return names


def test_two_records_of_one_address_are_one_instance(names: Names) -> None:
    names.register("b/2", "127.0.0.1", names.group.servers["b"].port)
    assert names.dictator().apply(names.topology("b", "a", "c")).open == ""
    names.group.is_led_by("b", "a", "c")


def test_a_slave_with_two_addresses_is_left_out_and_neither_is_touched(names: Names) -> None:
    names.group.add("foreign")
    fill(names.group["foreign"], 7)
    names.register("c/2", "127.0.0.1", names.group.servers["foreign"].port)
    before = names.group.replication("c")["master_port"]
    receipt = names.dictator().apply(names.topology("b", "a", "c"))
    ports = sorted(names.group.servers[name].port for name in ("c", "foreign"))
    endpoints = ", ".join(f"127.0.0.1:{port}" for port in sorted(ports))
    assert f"c.redis-1.docker (has 2 SRV records with different addresses: {endpoints}; one is stale)" in receipt.open
    assert names.group.replication("c")["master_port"] == before
    assert names.group.replication("foreign")["role"] == "master"
    assert names.group.keys("foreign") == 7
    names.group.is_led_by("b", "a")


def test_a_master_with_two_addresses_is_refused(names: Names) -> None:
    names.group.add("foreign")
    names.register("b/2", "127.0.0.1", names.group.servers["foreign"].port)
    before = names.group.state()
    with pytest.raises(Unresolved, match=r"b.redis-1.docker|2 SRV records with different addresses"):
        names.dictator().apply(names.topology("b", "a", "c"), force=True)
    assert names.group.state() == before


def test_a_record_that_leads_to_any_address_is_refused(names: Names) -> None:
    names.register("b/1", "0.0.0.0", names.group.servers["b"].port)
    before = names.group.state()
    with pytest.raises(Unresolved, match=r"leads to 0.0.0.0, which is not the address of one host"):
        names.dictator().apply(names.topology("b", "a", "c"))
    assert names.group.state() == before
