"""The document is understood, or refused with the name of the field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safe_redis.errors import DocumentError
from safe_redis.topology import Address, Topology, names_one_host, parse


def document(master: Any, *slaves: Any) -> bytes:
    return json.dumps({"master": master, "slaves": slaves}).encode()


def at(address: str, port: int | None = None) -> dict[str, Any]:
    return {"address": address} if port is None else {"address": address, "port": port}


def test_parses_names_addresses_and_ports() -> None:
    body = document(at("core-01.redis-1.docker"), at("10.0.0.3", 6380), at("fd00::1"))
    topology = parse(body)
    assert topology == Topology(Address("core-01.redis-1.docker"), (Address("10.0.0.3", 6380), Address("fd00::1")))
    assert topology.instances == (topology.master, *topology.slaves)


@pytest.mark.parametrize(
    "address",
    ["a", "core-01.redis-1.docker.", "core-02:redis-1:6379.redis-1.docker", "_x.y", "3com.docker", "::1", "x" * 63],
)
def test_accepts_every_kind_of_address(address: str) -> None:
    assert parse(document(at(address))).master.address == address


def test_port_may_be_null() -> None:
    assert parse(b'{"master": {"address": "a", "port": null}, "slaves": []}').master.port is None


REFUSED = {
    "any_address": (document(at("0.0.0.0")), "master.address 0.0.0.0 is not the address of one host"),
    "any_ipv6_address": (document(at("a"), at("::")), "slaves[0].address :: is not"),
    "any_address_mapped": (document(at("::ffff:0.0.0.0")), "is not the address of one host"),
    "multicast": (document(at("224.0.0.1")), "is not the address of one host"),
    "multicast_ipv6": (document(at("ff02::1")), "is not the address of one host"),
    "broadcast": (document(at("255.255.255.255")), "is not the address of one host"),
    "nothing": (b"", "not JSON"),
    "no_json": (b"master=a", "not JSON"),
    "two_documents": (document(at("a")) * 2, "not JSON"),
    "not_utf8": (b'{"master": {"address": "\xff"}, "slaves": []}', "not JSON"),
    "nested_too_deep": (b"[" * 100_000, "expected a document like"),
    "a_list": (b"[]", "got `array`"),
    "null": (b"null", "got `null`"),
    "no_master": (b'{"slaves": []}', "`master`"),
    "no_slaves": (b'{"master": {"address": "a"}}', "`slaves`"),
    "slaves_null": (b'{"master": {"address": "a"}, "slaves": null}', "`slaves`"),
    "slaves_an_object": (b'{"master": {"address": "a"}, "slaves": {}}', "`slaves`"),
    "master_a_string": (b'{"master": "a", "slaves": []}', "`master`"),
    "unknown_key": (b'{"master": {"address": "a"}, "slaves": [], "slave": []}', "`slave`"),
    "unknown_key_of_an_instance": (document({"address": "a", "prot": 1}), "`prot`"),
    "no_address": (document({"port": 6379}), "`address`"),
    "empty_address": (document(at("")), "`master.address`"),
    "address_a_number": (document({"address": 1}), "`master.address`"),
    "port_a_string": (document(at("a"), {"address": "b", "port": "6379"}), "`slaves[0].port`"),
    "port_a_fraction": (document({"address": "a", "port": 6379.5}), "`master.port`"),
    "port_true": (document({"address": "a", "port": True}), "`master.port`"),
    "port_zero": (document(at("a", 0)), "`master.port`"),
    "port_too_large": (document(at("a"), at("b", 65536)), "`slaves[0].port`"),
    "port_huge": (document(at("a", 10**40)), "`master.port`"),
    "address_too_long": (document(at("a." * 127 + "aa")), "`master.address`"),
    "label_too_long": (document(at("x" * 64)), "master.address"),
    "empty_label": (document(at("a..b")), "master.address"),
    "a_dot": (document(at(".")), "master.address"),
    "a_blank": (document(at("a b")), "master.address"),
    "a_slash": (document(at("a"), at("../b")), "slaves[0].address"),
    "a_control_character": (document(at("a\nb")), "master.address"),
    "not_ascii": (document(at("köln")), "master.address"),
    "a_wildcard": (document(at("*.redis-1.docker")), "master.address"),
    "no_ip_address": (document(at("10.0.0.300")), "master.address"),
    "half_an_ip_address": (document(at("10.0.0")), "master.address"),
    "an_address_with_a_port": (document(at("10.0.0.1:6379")), "give it as `port`"),
    "a_name_with_a_port": (document(at("a.docker:6379")), "give it as `port`"),
    "a_bracketed_address": (document(at("[::1]")), "master.address"),
    "an_address_with_a_scope": (document(at("fe80::1%eth0")), "master.address"),
    "one_instance_twice": (document(at("a"), at("a")), "slaves[0] is the same instance as master"),
    "one_slave_twice": (document(at("a"), at("b"), at("c"), at("b")), "slaves[2] is the same instance as slaves[0]"),
    "twice_in_capitals": (document(at("a.docker"), at("A.Docker.")), "slaves[0]"),
    "twice_by_default_port": (document(at("10.0.0.1"), at("10.0.0.1", 6379)), "slaves[0]"),
    "twice_in_ipv6": (document(at("fd00::1"), at("FD00:0:0::1")), "slaves[0]"),
    "twice_mapped": (document(at("10.0.0.1"), at("::ffff:10.0.0.1")), "slaves[0]"),
}


@pytest.mark.parametrize(("body", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_and_names_the_field(body: bytes, message: str) -> None:
    with pytest.raises(DocumentError) as error:
        parse(body)
    assert message in str(error.value)
    assert error.value.status == 400


def test_two_ports_of_an_address_are_two_instances() -> None:
    assert len(parse(document(at("10.0.0.1"), at("10.0.0.1", 6380), at("a"), at("a", 1))).slaves) == 3


def test_the_message_stays_short_however_long_the_document() -> None:
    with pytest.raises(DocumentError) as error:
        parse(json.dumps({"x" * 100_000: 1}).encode())
    assert len(str(error.value)) < 1000


def test_an_instance_is_told_as_one_writes_it() -> None:
    texts = [str(Address("a")), str(Address("a", 1)), str(Address("::1")), str(Address("::1", 1))]
    assert texts == ["a", "a:1", "::1", "[::1]:1"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)
ADDRESSES = st.text(max_size=260) | st.ip_addresses().map(str) | st.from_regex(r"[a-z0-9.:-]{1,20}", fullmatch=True)
INSTANCES = JSON | st.fixed_dictionaries({"address": ADDRESSES | JSON}, optional={"port": st.integers() | JSON})
DOCUMENTS = JSON | st.fixed_dictionaries({"master": INSTANCES, "slaves": st.lists(INSTANCES) | JSON})


@given(st.binary() | DOCUMENTS.map(lambda document: json.dumps(document).encode()))
def test_anything_is_a_topology_or_a_document_error(body: bytes) -> None:
    try:
        instances = parse(body).instances
    except DocumentError:
        return
    assert len({instance.key for instance in instances}) == len(instances)


GOOD = st.lists(
    st.builds(
        at,
        st.ip_addresses(v=4).map(str).filter(names_one_host)
        | st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z][a-z0-9-]{0,20}){0,3}", fullmatch=True),
        st.none() | st.integers(1, 65535),
    ),
    min_size=1,
    unique_by=lambda instance: instance["address"],
)


@given(GOOD)
def test_what_is_well_formed_is_understood_as_it_is(instances: list[dict[str, Any]]) -> None:
    topology = parse(document(*instances))
    assert [at(instance.address, instance.port) for instance in topology.instances] == instances
