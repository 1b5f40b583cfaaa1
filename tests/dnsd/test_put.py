"""PUT /dns: what is published, what is left out, what is refused."""

import json
from collections.abc import Iterator

import pytest

from sandbox.etcd import EtcdServer
from sandbox.skydns import SkyDns
from tests.dnsd.conftest import DOMAIN, Dnsd


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dnsd, SkyDns]]:
    """One dnsd for all the tests here; it never refreshes, so that nothing of one test comes back in the next."""
    directory = tmp_path_factory.mktemp("put")
    with EtcdServer(directory / "etcd") as etcd:
        dnsd = Dnsd(etcd, directory / "log", TTL="86400", TTL_REFRESH="86000")
        with dnsd, SkyDns(etcd.url, directory / "skydns") as skydns:
            yield dnsd, skydns


@pytest.fixture
def dnsd(running: tuple[Dnsd, SkyDns]) -> Dnsd:
    service = running[0]
    service.clear()
    for number in (1, 2, 3):
        service.register(f"core-0{number}", f"10.0.0.{number}", 49150 + number)
    return service


@pytest.fixture
def skydns(running: tuple[Dnsd, SkyDns]) -> SkyDns:
    return running[1]


def at(number: int) -> dict[str, object]:
    return {"host": f"10.0.0.{number}", "port": 49150 + number}


def test_publishes_master_and_slaves(dnsd: Dnsd) -> None:
    assert dnsd.put("core-01", "core-02", "core-03") == (200, "OK\n")
    assert dnsd.published() == {"master": at(1), "slaves/core-02": at(2), "slaves/core-03": at(3)}


def test_clients_find_what_is_published_by_srv(dnsd: Dnsd, skydns: SkyDns) -> None:
    dnsd.put("core-01", "core-02", "core-03")
    master = skydns.query("master.redis-1.docker").answer[0]
    slaves = skydns.query("slaves.redis-1.docker").answer[0]
    assert [record.to_text() for record in master] == ["10 100 49151 master.redis-1.docker."]
    assert sorted(record.to_text() for record in slaves) == [
        "10 50 49152 core-02.slaves.redis-1.docker.",
        "10 50 49153 core-03.slaves.redis-1.docker.",
    ]


def test_resolvers_may_cache_a_record_for_five_seconds(dnsd: Dnsd, skydns: SkyDns) -> None:
    dnsd.put("core-01", "core-02")
    assert skydns.query("master.redis-1.docker").answer[0].ttl == 5
    assert skydns.query("slaves.redis-1.docker").answer[0].ttl == 5


def test_a_new_topology_moves_the_master_and_deletes_what_is_not_listed(dnsd: Dnsd) -> None:
    dnsd.put("core-01", "core-02", "core-03")
    assert dnsd.put("core-02", "core-01")[0] == 200
    assert dnsd.published() == {"master": at(2), "slaves/core-01": at(1)}


def test_writes_master_then_slaves_then_deletes(dnsd: Dnsd) -> None:
    dnsd.put("core-01", "core-02", "core-03")
    dnsd.put("core-02", "core-01")
    assert 0 < dnsd.index("master") < dnsd.index("slaves/core-01")
    directory = dnsd.etcd.keys.node(f"{DOMAIN}/slaves")
    assert directory is not None
    log = dnsd.process.log.read_text()
    order = [log.rindex(f"wrote {DOMAIN}/master"), log.rindex(f"wrote {DOMAIN}/slaves/core-01")]
    order += [log.rindex(f"removed {DOMAIN}/slaves/core-02"), log.rindex(f"removed {DOMAIN}/slaves/core-03")]
    assert order[0] < order[1] < min(order[2:])


def test_a_master_without_slaves_is_a_topology(dnsd: Dnsd) -> None:
    dnsd.put("core-01", "core-02")
    assert dnsd.put("core-01")[0] == 200
    assert dnsd.published() == {"master": at(1)}


def test_a_given_port_wins_over_the_records(dnsd: Dnsd) -> None:
    port = {"address": "core-02.redis-1.docker", "port": 7000}
    assert dnsd.put("core-01", port)[0] == 200
    assert dnsd.published()["slaves/core-02"] == {"host": "10.0.0.2", "port": 7000}


def test_names_are_the_same_in_capitals_and_with_a_trailing_dot(dnsd: Dnsd) -> None:
    assert dnsd.put({"address": "Core-01.Redis-1.docker."}, {"address": "CORE-02.redis-1.docker"})[0] == 200
    assert dnsd.published() == {"master": at(1), "slaves/core-02": at(2)}


def test_ip_addresses_are_published_under_names_made_from_them(dnsd: Dnsd, skydns: SkyDns) -> None:
    addresses = [{"address": "10.1.0.7"}, {"address": "10.1.0.7", "port": 6380}, {"address": "fd00::7"}]
    assert dnsd.put({"address": "fd00::1", "port": 7001}, *addresses)[0] == 200
    assert dnsd.published() == {
        "master": {"host": "fd00::1", "port": 7001},
        "slaves/10-1-0-7-6379": {"host": "10.1.0.7", "port": 6379},
        "slaves/10-1-0-7-6380": {"host": "10.1.0.7", "port": 6380},
        "slaves/fd00-0000-0000-0000-0000-0000-0000-0007-6379": {"host": "fd00::7", "port": 6379},
    }
    answer = skydns.query("master.redis-1.docker")
    assert [record.to_text() for record in answer.additional[0]] == ["fd00::1"]
    assert len(skydns.query("slaves.redis-1.docker").answer[0]) == 3


def test_a_label_may_hold_colons_as_registrators_default_ids_do(dnsd: Dnsd) -> None:
    dnsd.register("core-02:redis-1:6379", "10.0.0.2", 49999)
    assert dnsd.put("core-01", "core-02:redis-1:6379")[0] == 200
    assert dnsd.published()["slaves/core-02:redis-1:6379"] == {"host": "10.0.0.2", "port": 49999}


def test_sources_may_be_in_other_domains(dnsd: Dnsd) -> None:
    dnsd.etcd.keys.put("/skydns/docker/other/deep/core-09", json.dumps({"host": "10.0.0.9", "port": 9}))
    assert dnsd.put("core-01", {"address": "core-09.deep.other.docker"})[0] == 200
    assert dnsd.published()["slaves/core-09"] == {"host": "10.0.0.9", "port": 9}


def test_only_host_and_port_of_a_record_are_copied(dnsd: Dnsd) -> None:
    dnsd.etcd.keys.put(f"{DOMAIN}/core-01", '{"host":"10.0.0.1","port":49151,"priority":"not a number"}')
    assert dnsd.put("core-01")[0] == 200
    assert dnsd.published() == {"master": at(1)}


def test_a_host_that_is_a_name_is_copied(dnsd: Dnsd) -> None:
    dnsd.register("core-01", "machine-1.example.org", 49151)
    assert dnsd.put("core-01")[0] == 200
    assert dnsd.published() == {"master": {"host": "machine-1.example.org", "port": 49151}}


def test_a_missing_record_of_the_master_is_a_503_that_changes_nothing(dnsd: Dnsd) -> None:
    dnsd.put("core-01", "core-02")
    status, body = dnsd.put("core-07", "core-03")
    assert status == 503
    assert body == f"NoRecord: core-07.redis-1.docker has no record at {DOMAIN}/core-07\n"
    assert dnsd.published() == {"master": at(1), "slaves/core-02": at(2)}


def test_slaves_without_a_record_are_left_out_and_named(dnsd: Dnsd) -> None:
    dnsd.put("core-01", "core-02", "core-03")
    dnsd.etcd.keys.delete(f"{DOMAIN}/core-03")
    status, body = dnsd.put("core-01", "core-02", "core-03", "core-07")
    assert status == 202
    assert f"core-03.redis-1.docker has no record at {DOMAIN}/core-03" in body
    assert "core-07.redis-1.docker" in body
    assert "core-02" not in body
    assert dnsd.published() == {"master": at(1), "slaves/core-02": at(2)}


UNUSABLE = {
    "empty_host": ('{"host":"","port":49151}', "start registrator with -ip"),
    "no_host": ('{"port":49151}', "start registrator with -ip"),
    "the_root_as_host": ('{"host":".","port":49151}', "start registrator with -ip"),
    "host_of_blanks": ('{"host":"a b","port":49151}', "leads nowhere"),
    "host_with_a_typo": ('{"host":"10.0.0.300","port":49151}', "leads nowhere"),
    "no_port": ('{"host":"10.0.0.1"}', "leads nowhere"),
    "port_out_of_range": ('{"host":"10.0.0.1","port":65536}', "leads nowhere"),
    "port_as_text": ('{"host":"10.0.0.1","port":"49151"}', "malformed"),
    "host_null": ('{"host":null,"port":49151}', "malformed"),
    "a_list": ("[]", "malformed"),
    "cut_off": ('{"host":"10.0.0.1"', "malformed"),
    "empty": ("", "malformed"),
}


@pytest.mark.parametrize(("record", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_refuses_an_unusable_record(dnsd: Dnsd, record: str, reason: str) -> None:
    dnsd.put("core-01", "core-02")
    before = dnsd.published()
    dnsd.etcd.keys.put(f"{DOMAIN}/core-03", record)
    status, body = dnsd.put("core-03")
    assert status == 503
    assert body.startswith("NoRecord: core-03.redis-1.docker")
    assert reason in body
    assert dnsd.published() == before
    status, body = dnsd.put("core-01", "core-02", "core-03")
    assert status == 202
    assert reason in body
    assert dnsd.published() == before


CLASHES = {
    "slave_named_master": ("core-01", [{"address": "master.redis-9.docker"}], "slaves[0].address"),
    "slave_named_slaves": ("core-01", [{"address": "Slaves.redis-9.docker"}], "slaves[0].address"),
    "master_named_master": ("master", [], "master.address"),
    "a_published_name": ("core-01", [{"address": "core-02.slaves.redis-1.docker"}], "slaves[0].address"),
    "two_of_one_short_name": ("core-01", ["core-02", {"address": "core-02.redis-9.docker"}], "slaves[1]"),
    "one_name_with_two_ports": (
        "core-01",
        ["core-02", {"address": "core-02.redis-1.docker", "port": 7}],
        "core-02.slaves.redis-1.docker",
    ),
    "a_name_made_from_an_address": ("core-01", [{"address": "10.0.0.1"}, "10-0-0-1-6379"], "slaves[1]"),
}


@pytest.mark.parametrize(("master", "slaves", "field"), CLASHES.values(), ids=CLASHES)
def test_refuses_names_that_clash(dnsd: Dnsd, master: str, slaves: list[object], field: str) -> None:
    status, body = dnsd.put(master, *slaves)
    assert status == 400
    assert body.startswith("DocumentError: ")
    assert field in body
    assert dnsd.published() == {}


def test_a_slave_may_have_the_masters_short_name_in_another_domain(dnsd: Dnsd) -> None:
    dnsd.etcd.keys.put("/skydns/docker/redis-2/core-01", json.dumps(at(2)))
    assert dnsd.put("core-01", {"address": "core-01.redis-2.docker"})[0] == 200
    assert dnsd.published() == {"master": at(1), "slaves/core-01": at(2)}


def test_a_key_that_etcd_rejects_is_named_and_the_others_are_written(dnsd: Dnsd) -> None:
    dnsd.etcd.keys.put(f"{DOMAIN}/slaves/core-02/in-the-way", "{}")
    status, body = dnsd.put("core-01", "core-02", "core-03")
    assert status == 503
    assert body.startswith("Rejected: ")
    assert f"{DOMAIN}/slaves/core-02" in body
    dnsd.etcd.keys.delete(f"{DOMAIN}/slaves/core-02/in-the-way")
    assert dnsd.published()["slaves/core-03"] == at(3)


def test_fifty_slaves_are_published_in_one_put(dnsd: Dnsd) -> None:
    hosts = [f"many-{number}" for number in range(50)]
    for number, host in enumerate(hosts):
        dnsd.register(host, "10.0.1.1", 1000 + number)
    assert dnsd.put("core-01", *hosts)[0] == 200
    assert len(dnsd.published()) == 51
    assert dnsd.put(hosts[0], "core-01")[0] == 200
    assert dnsd.published() == {"master": {"host": "10.0.1.1", "port": 1000}, "slaves/core-01": at(1)}


def test_the_answers_of_other_paths_and_methods(dnsd: Dnsd) -> None:
    assert dnsd.request("GET", "/healthz")[:2] == (200, "OK\n")
    assert dnsd.request("PUT", "/master", "{}")[0] == 404
    assert dnsd.request("GET", "/dns")[0] == 405
    assert dnsd.request("POST", "/dns", "{}")[0] == 405


def test_a_malformed_document_is_a_400_that_changes_nothing(dnsd: Dnsd) -> None:
    dnsd.put("core-01")
    status, body = dnsd.put_raw("{")
    assert status == 400
    assert body.startswith("DocumentError: not JSON")
    assert dnsd.put_raw('{"master":{"address":""},"slaves":[]}')[0] == 400
    assert dnsd.put_raw(b" " * ((1 << 20) + 1))[0] == 413
    assert dnsd.published() == {"master": at(1)}
