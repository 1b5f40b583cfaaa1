"""What is published outlives restarts of dnsd and short outages of etcd, and comes back after long ones."""

import json
import shutil
import time
from pathlib import Path

import pytest

from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from tests.dnsd.conftest import DOMAIN, Dnsd, StartDnsd

# long enough for a busy machine to keep up with, short enough to wait for
BRIEF = {"TTL": "5", "TTL_REFRESH": "0.5"}
RECORDS = {"master": {"host": "10.0.0.1", "port": 49151}, "slaves/core-02": {"host": "10.0.0.2", "port": 49152}}


def refreshed(dnsd: Dnsd, name: str, times: int = 2) -> None:
    """Wait until a record has been seen to be written again that often."""
    seen = {dnsd.index(name)}

    def often() -> bool:
        seen.add(dnsd.index(name))
        return len(seen) > times

    wait_until(often, f"{name} is written {times} times more")


def back(dnsd: Dnsd) -> None:
    """Wait until everything is published, as it was."""
    wait_until(lambda: dnsd.published() == RECORDS, "the records are published")


def expired(dnsd: Dnsd) -> None:
    """Wait until nothing is published any more."""
    wait_until(lambda: dnsd.published() == {}, "the records have expired")


def test_refreshes_every_record_so_that_it_outlives_its_ttl(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(**BRIEF)
    dnsd.put("core-01", "core-02")
    end = time.monotonic() + 6
    while time.monotonic() < end:
        assert dnsd.published() == RECORDS


def test_refreshes_what_was_published_and_not_what_the_source_says_by_now(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(**BRIEF)
    dnsd.put("core-01", "core-02")
    dnsd.register("core-01", "10.9.9.9", 1)
    dnsd.etcd.keys.delete(f"{DOMAIN}/core-02")
    refreshed(dnsd, "master")
    refreshed(dnsd, "slaves/core-02")
    assert dnsd.published() == RECORDS


def test_what_is_no_longer_listed_is_not_refreshed(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(**BRIEF)
    dnsd.put("core-01", "core-02", "core-03")
    dnsd.put("core-01", "core-02")
    refreshed(dnsd, "master")
    assert dnsd.published() == RECORDS


def test_a_refused_put_leaves_what_was_published_to_be_refreshed(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(**BRIEF)
    dnsd.put("core-01", "core-02")
    assert dnsd.put("core-07")[0] == 503
    assert dnsd.put("core-02", {"address": "master.redis-1.docker"})[0] == 400
    refreshed(dnsd, "master")
    refreshed(dnsd, "slaves/core-02")
    assert dnsd.published() == RECORDS


def test_a_record_that_was_deleted_comes_back(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(**BRIEF)
    dnsd.put("core-01", "core-02")
    dnsd.etcd.keys.delete(f"{DOMAIN}/master")
    back(dnsd)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_takes_over_after_a_restart(start_dnsd: StartDnsd, end: str) -> None:
    dnsd = start_dnsd(TTL="20", TTL_REFRESH="0.5")
    dnsd.put("core-01", "core-02")
    getattr(dnsd, end)()
    assert dnsd.published() == RECORDS
    dnsd.start()
    refreshed(dnsd, "master", times=4)
    refreshed(dnsd, "slaves/core-02", times=4)
    assert dnsd.published() == RECORDS


def test_removes_what_an_earlier_dnsd_published_at_the_next_put(etcd: EtcdServer, start_dnsd: StartDnsd) -> None:
    record = json.dumps({"host": "10.0.0.9", "port": 9})
    etcd.keys.put(f"{DOMAIN}/slaves/core-09", record)
    etcd.keys.put(f"{DOMAIN}/slaves/broken", "{")
    dnsd = start_dnsd()
    dnsd.logs("took over /skydns/docker/redis-1/slaves/core-09")
    dnsd.logs("ignored what is at /skydns/docker/redis-1/slaves/broken")
    assert dnsd.put("core-01", "core-02")[0] == 200
    assert dnsd.published() == RECORDS


def test_takes_over_nothing_but_master_and_slaves(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(**BRIEF)
    dnsd.put("core-01", "core-02")
    dnsd.kill()
    dnsd.start()
    dnsd.put("core-01", "core-02")
    refreshed(dnsd, "master")
    node = dnsd.etcd.keys.node(f"{DOMAIN}/core-01")
    assert node is not None
    assert "ttl" not in node  # it would have one if dnsd had written it


def test_takes_over_from_an_etcd_that_comes_up_later(etcd: EtcdServer, start_dnsd: StartDnsd) -> None:
    for name, record in RECORDS.items():
        etcd.keys.put(f"{DOMAIN}/{name}", json.dumps(record))
    etcd.stop()
    dnsd = start_dnsd(**BRIEF)
    dnsd.logs("failed to refresh: etcd failed to read")
    etcd.start()
    refreshed(dnsd, "master")
    refreshed(dnsd, "slaves/core-02")


def test_an_etcd_outage_shorter_than_the_ttl_costs_nothing(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(TTL="15", TTL_REFRESH="1")
    dnsd.put("core-01", "core-02")
    dnsd.etcd.kill()
    dnsd.logs("failed to refresh: etcd failed to")
    dnsd.etcd.start()
    before = dnsd.index("slaves/core-02")

    def refreshed_without_a_gap() -> bool:
        assert dnsd.published() == RECORDS
        return dnsd.index("slaves/core-02") > before

    wait_until(refreshed_without_a_gap, "the last record is written again")


def test_the_records_come_back_after_a_longer_outage(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(**BRIEF)
    dnsd.put("core-01", "core-02")
    dnsd.pause()
    expired(dnsd)
    dnsd.etcd.stop()
    dnsd.resume()
    dnsd.logs("failed to refresh")
    dnsd.etcd.start()
    back(dnsd)


def test_the_records_come_back_in_an_etcd_that_has_lost_everything(start_dnsd: StartDnsd, tmp_path: Path) -> None:
    dnsd = start_dnsd(**BRIEF)
    dnsd.put("core-01", "core-02")
    dnsd.etcd.kill()
    shutil.rmtree(tmp_path / "etcd" / "data")
    dnsd.etcd.start()
    back(dnsd)


def test_an_etcd_that_hangs_is_asked_again(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(**BRIEF, ETCD_TIMEOUT="0.3")
    dnsd.put("core-01", "core-02")
    dnsd.etcd.pause()
    dnsd.logs("failed to refresh: etcd failed to")
    dnsd.etcd.resume()
    refreshed(dnsd, "master")
    refreshed(dnsd, "slaves/core-02")


def test_a_put_without_etcd_is_a_503_and_the_records_go_on(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(**BRIEF)
    dnsd.put("core-01", "core-02")
    dnsd.etcd.stop()
    status, body = dnsd.put("core-02", "core-01")
    assert status == 503
    assert body.startswith("StoreError: etcd failed to list /skydns/docker/redis-1")
    assert dnsd.etcd.url in body
    assert dnsd.request("GET", "/healthz")[0] == 200
    dnsd.etcd.start()
    back(dnsd)
    assert dnsd.put("core-02", "core-01")[0] == 200


def test_a_key_that_etcd_rejects_does_not_keep_the_others_from_being_refreshed(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(**BRIEF)
    dnsd.put("core-01", "core-02")
    dnsd.etcd.keys.delete(f"{DOMAIN}/master")
    dnsd.etcd.keys.put(f"{DOMAIN}/master/in-the-way", "{}")
    dnsd.logs("failed to refresh: etcd at")
    refreshed(dnsd, "slaves/core-02", times=4)


def test_sigterm_ends_it_in_good_order_and_the_records_stay(dnsd: Dnsd) -> None:
    dnsd.put("core-01", "core-02")
    dnsd.stop(timeout=5)
    assert dnsd.process.returncode == 0
    assert dnsd.published() == RECORDS
