"""The pure part of the SkyDNS stand-in: every query is answered, whatever etcd holds."""

import ast

import dns.message
import dns.rcode
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.process import ROOT
from sandbox.skydns.answers import answer
from sandbox.skydns.records import Leaf, UnreadableError
from sandbox.skydns.wire import encode

PURE = ("answers.py", "records.py", "wire.py")
IMPURE = ("dns.query", "dns.resolver", "http", "os", "random", "sandbox.keys", "socket", "time")

names = st.sampled_from(["redis-1", "core-01", "core-02:redis-1:8080", "x" * 64, "a.b", "é", "*"])
hosts = st.sampled_from(["10.0.0.1", "fd00::1", "", ".", "core-01.redis-1.docker", "a..b", "é", "x y"])
numbers = st.integers(-(2**40), 2**40)
records = st.fixed_dictionaries(
    {},
    optional={"host": hosts, "port": numbers, "priority": numbers, "weight": numbers, "ttl": numbers},
)
jsons = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=3)
values = st.one_of(records, jsons).map(lambda value: msgspec.json.encode(value).decode()) | st.text()
leaves = st.builds(
    Leaf,
    st.lists(names, min_size=1, max_size=3).map(lambda path: "/".join(("/skydns/docker", *path))),
    values,
    st.integers(0, 2**31 - 1),
)


@given(
    st.lists(leaves, max_size=5),
    st.sampled_from(["SRV", "A", "AAAA", "CNAME", "SOA", "TXT", "ANY"]),
    st.sampled_from(["docker", "redis-1.docker", "core-01.redis-1.docker", "example.org", "."]),
)
def test_every_query_is_answered_whatever_etcd_holds(held: list[Leaf], kind: str, name: str) -> None:
    def read(key: str) -> tuple[Leaf, ...] | None:
        return tuple(x for x in held if f"{x.key}/".startswith(f"{key}/")) or None

    query = dns.message.make_query(name, kind)
    response = dns.message.from_wire(encode(answer(query, "docker", read, 0)))
    assert query.is_response(response)
    code = response.rcode()
    assert code in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL)
    assert bool(response.answer or response.authority) == (code != dns.rcode.SERVFAIL)


def test_what_can_not_be_read_is_a_failure_for_srv_and_no_data_for_others() -> None:
    def read(_: str) -> None:
        raise UnreadableError("etcd is away")

    for kind, code in (("SRV", dns.rcode.SERVFAIL), ("A", dns.rcode.NOERROR)):
        query = dns.message.make_query("core-01.redis-1.docker", kind)
        assert answer(query, "docker", read, 0).rcode() == code


@pytest.mark.parametrize("module", PURE)
def test_the_pure_modules_import_nothing_that_acts(module: str) -> None:
    tree = ast.parse((ROOT / "sandbox" / "skydns" / module).read_text())
    imported = {x.name for node in ast.walk(tree) if isinstance(node, ast.Import) for x in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported
    assert not imported.intersection(IMPURE)
