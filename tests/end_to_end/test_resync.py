"""The topology is applied again and again: without a word at any service, unless something has changed."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.cluster import Cluster
from sandbox.process import wait_until
from tests.end_to_end.healing import wait_healed

DOMAIN = "/skydns/docker/redis-1"
SERVICES = ("dictator", "dnsd", "observer")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def resyncing(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with a topology applied, and some resyncs done."""
    settings = {"observer": {"RESYNC_INTERVAL": "0.2", "RETRY_MAX": "0.5"}}
    with Cluster(tmp_path / "cluster", settings=settings) as cluster:
        cluster.nodes["core-01"].redis.client().set("written-before-anything-happened", "value")
        cluster.define(cluster.document("core-01"))
        cluster.apply()
        wait_healed(cluster, "core-01")
        settle(cluster)
        yield cluster


def logs(cluster: Cluster) -> dict[str, str]:
    """What each service has logged."""
    return {service: (cluster.directory / service / "log").read_text() for service in SERVICES}


def applies(cluster: Cluster) -> int:
    """How often the dictator has applied a topology, by its own count."""
    history = json.loads(cluster.dictator.request("GET", "/history").body)
    return sum(entry["times"] for entry in history["entries"])


def resync(cluster: Cluster, times: int) -> None:
    """Wait until the topology was applied so many times more."""
    before = applies(cluster)
    wait_until(lambda: applies(cluster) >= before + times, f"{times} resyncs", timeout=120)


def settle(cluster: Cluster) -> None:
    """Wait until the last run is applied in full, with those that were on their way."""

    def is_applied() -> bool:
        status = json.loads(cluster.etcd.keys.get("/config/redis-1/topology-status") or "{}")
        return bool(status.get("state") == "applied")

    wait_until(is_applied, "the topology is applied in full", timeout=60)
    resync(cluster, 2)


def news(cluster: Cluster, before: dict[str, str]) -> str:
    """What was logged since, by any service."""
    return "".join(text[len(before[service]) :] for service, text in logs(cluster).items())


def test_no_service_logs_anything_while_nothing_changes(resyncing: Cluster) -> None:
    before = logs(resyncing)
    resync(resyncing, 10)
    assert not news(resyncing, before)


def test_what_drifts_heals_and_is_logged(resyncing: Cluster) -> None:
    before = logs(resyncing)
    master = resyncing.nodes["core-01"].redis.port
    resyncing.nodes["core-02"].redis.client().replicaof("NO", "ONE")
    wait_healed(resyncing, "core-01")
    resync(resyncing, 2)
    text = news(resyncing, before)
    assert "INFO dictator.apply: observed core-02" in text
    assert "applied master core-01.redis-1.docker: changed" in text
    assert f":{master}" in text


def test_a_record_that_somebody_overwrites_heals_and_is_logged(resyncing: Cluster) -> None:
    before = logs(resyncing)
    resyncing.etcd.keys.put(f"{DOMAIN}/master", json.dumps({"host": "127.0.0.9", "port": 9}))
    wait_healed(resyncing, "core-01")
    resync(resyncing, 2)
    assert f"WARNING dnsd.zone: wrote {DOMAIN}/master anew: somebody had written" in news(resyncing, before)


def test_what_stays_wrong_is_logged_once(resyncing: Cluster) -> None:
    before = logs(resyncing)
    resyncing.nodes["core-03"].kill()
    wait_until(lambda: "; left out: core-03" in news(resyncing, before), "it is logged", timeout=60)
    began = time.monotonic()
    resync(resyncing, 20)
    minutes = 1 + int((time.monotonic() - began) / 60)
    lines = [line for line in news(resyncing, before).splitlines() if "applied master" in line]
    # its record expires meanwhile, which is another reason
    assert 1 <= len(lines) <= 1 + minutes, lines


def test_an_operators_apply_is_logged_though_it_changes_nothing(resyncing: Cluster) -> None:
    before = logs(resyncing)
    resyncing.apply()
    wait_until(lambda: "ended the run for 'apply" in news(resyncing, before), "the run is logged", timeout=60)
    text = news(resyncing, before)
    assert "applied master core-01.redis-1.docker: unchanged" in text
    assert "observed" not in text
    assert "INFO dnsd.publisher: published core-01.redis-1.docker as master" in text
