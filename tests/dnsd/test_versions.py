"""A PUT of an older topology is refused, whichever dnsd gets it."""

import shutil
from pathlib import Path

from tests.dnsd.conftest import Dnsd, StartDnsd

BODY = '{"master": {"address": "core-01.redis-1.docker"}, "slaves": []}'


def master(dnsd: Dnsd) -> object:
    return dnsd.published()["master"]["host"]


def test_refuses_an_older_topology_and_names_both_indexes(dnsd: Dnsd) -> None:
    assert dnsd.put_version(7, "core-02", "core-01")[0] == 200
    status, text = dnsd.put_version(6, "core-01", "core-02")
    assert status == 409
    assert text == "Outdated: the document is index 6 of etcd a; index 7 of etcd a was applied already\n"
    assert master(dnsd) == "10.0.0.2"


def test_takes_the_same_topology_again(dnsd: Dnsd) -> None:
    assert dnsd.put_version(7, "core-01")[0] == 200
    assert dnsd.put_version(7, "core-01")[0] == 200


def test_refuses_an_older_topology_after_a_restart(dnsd: Dnsd) -> None:
    dnsd.put_version(7, "core-02", "core-01")
    dnsd.kill()
    dnsd.start()
    assert dnsd.put_version(6, "core-01", "core-02")[0] == 409


def test_refuses_a_topology_that_is_older_than_what_another_dnsd_has_published(start_dnsd: StartDnsd) -> None:
    first, second = start_dnsd(log="first"), start_dnsd(log="second")
    assert first.put_version(5, "core-01")[0] == 200
    assert second.put_version(7, "core-02")[0] == 200
    assert first.put_version(6, "core-01")[0] == 409
    assert master(first) == "10.0.0.2"


def test_a_put_without_an_index_is_taken_and_lets_no_older_one_pass(dnsd: Dnsd) -> None:
    dnsd.put_version(7, "core-01")
    assert dnsd.put("core-02")[0] == 200
    dnsd.kill()
    dnsd.start()
    assert dnsd.put_version(6, "core-03")[0] == 409
    assert master(dnsd) == "10.0.0.2"


def test_takes_the_indexes_of_an_etcd_that_began_anew(dnsd: Dnsd, tmp_path: Path) -> None:
    dnsd.put_version(1000, "core-01")
    dnsd.etcd.kill()
    shutil.rmtree(tmp_path / "etcd" / "data")
    dnsd.etcd.start()
    for number in (1, 2):
        dnsd.register(f"core-0{number}", f"10.0.0.{number}", 49150 + number)
    assert dnsd.put_version(5, "core-02", cluster="b")[0] == 200
    assert dnsd.put_version(1001, "core-01", cluster="a")[0] == 409
    assert master(dnsd) == "10.0.0.2"


def test_a_malformed_index_is_a_400_that_names_the_header(dnsd: Dnsd) -> None:
    for bad in ("-1", "x", "9" * 30, "٣".encode().decode("latin-1")):
        status, text = dnsd.put_raw(BODY, {"Topology-Index": bad})
        assert status == 400
        assert text.startswith("DocumentError: Topology-Index: ")
