"""Metrics and readiness of the three services, on a real cluster; docs/metrics.md lists what there is."""

import json
import queue
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandbox.cluster import Cluster
from sandbox.process import ROOT, free_port, wait_until
from sandbox.web import Answer, request

Samples = dict[tuple[str, str], float]
PORT = free_port()
HOOK = free_port()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {
        "observer": {"METRICS_PORT": str(PORT)},
        "dictator": {"ON_SWITCH_URL": f"http://127.0.0.1:{HOOK}/switched?by=dictator"},
    }
    with Cluster(tmp_path_factory.mktemp("cluster"), settings=settings) as cluster:
        yield cluster


def get(cluster: Cluster, service: str, path: str) -> Answer:
    if service == "observer":
        return request(("127.0.0.1", PORT), "GET", path)
    web = cluster.dictator if service == "dictator" else cluster.dnsd
    return web.request("GET", path)


def scrape(cluster: Cluster, service: str) -> Samples:
    """Values by name and labels' values."""
    answer = get(cluster, service, "/metrics")
    assert answer.status == 200
    families = text_string_to_metric_families(answer.body)
    return {(sample.name, " ".join(sample.labels.values())): sample.value for f in families for sample in f.samples}


def apply(cluster: Cluster, master: str) -> None:
    """Have it applied by the observer, until nothing is open."""
    for node in cluster.nodes.values():
        if not node.running:
            node.start()
    cluster.define(cluster.document(master))
    cluster.apply()

    def is_applied() -> bool:
        status = json.loads(cluster.etcd.keys.get("/config/redis-1/topology-status") or "{}")
        topology = cluster.etcd.keys.node("/config/redis-1/topology") or {}
        return bool(status.get("state") == "applied" and status["document"] == topology["modifiedIndex"])

    wait_until(is_applied, f"{master} is applied", timeout=60)


def test_an_apply_is_counted_and_its_window_measured(cluster: Cluster) -> None:
    apply(cluster, "core-01")
    before = scrape(cluster, "dictator")
    apply(cluster, "core-02")
    after = scrape(cluster, "dictator")
    for name in ("safe_redis_applies_total", "safe_redis_apply_seconds_count"):
        labels = "applied" if name.endswith("total") else ""
        assert after[name, labels] > before[name, labels]
    assert after["safe_redis_master_changes_total", ""] == before["safe_redis_master_changes_total", ""] + 1
    assert after["safe_redis_write_window_seconds_count", ""] == before["safe_redis_write_window_seconds_count", ""] + 1
    assert after["safe_redis_write_window_seconds_sum", ""] > before["safe_redis_write_window_seconds_sum", ""]
    success = ("safe_redis_last_success_timestamp_seconds", "")
    assert after[success] > before[success]


def test_instances_are_shown_by_role_and_reachability(cluster: Cluster) -> None:
    apply(cluster, "core-01")
    wait_until(lambda: scrape(cluster, "dictator")["safe_redis_instances", "slave"] == 2, "two slaves are shown")
    samples = scrape(cluster, "dictator")
    assert samples["safe_redis_instances", "master"] == 1
    assert samples["safe_redis_lag_bytes", "core-02.redis-1.docker"] >= 0
    assert samples["safe_redis_link_up", "core-02.redis-1.docker"] == 1
    cluster.nodes["core-03"].kill()
    wait_until(lambda: scrape(cluster, "dictator")["safe_redis_instances", "unreachable"] == 1, "one is not reached")
    assert scrape(cluster, "dictator")["safe_redis_instance_up", "core-03.redis-1.docker"] == 0


def test_dnsd_counts_publications_and_the_writes_that_keep_records_alive(cluster: Cluster) -> None:
    apply(cluster, "core-01")
    before = scrape(cluster, "dnsd")
    apply(cluster, "core-02")
    after = scrape(cluster, "dnsd")
    assert after["safe_redis_publications_total", "200"] > before["safe_redis_publications_total", "200"]
    assert after["safe_redis_record_writes_total", ""] >= before["safe_redis_record_writes_total", ""] + 3
    assert after["safe_redis_records", ""] >= 3
    assert after["safe_redis_last_publication_timestamp_seconds", ""] > 1e9


def test_the_observer_counts_runs_and_triggers(cluster: Cluster) -> None:
    apply(cluster, "core-01")
    before = scrape(cluster, "observer")
    apply(cluster, "core-02")
    after = scrape(cluster, "observer")
    assert after["safe_redis_runs_total", "applied"] > before["safe_redis_runs_total", "applied"]
    assert after["safe_redis_watch_triggers_total", ""] > before["safe_redis_watch_triggers_total", ""]
    applied = ("safe_redis_last_applied_timestamp_seconds", "")
    assert after[applied] > before[applied]


def test_a_pause_is_shown_with_its_beginning_and_its_reason(cluster: Cluster) -> None:
    apply(cluster, "core-01")
    pause = {"since": "2026-01-01T00:00:00Z", "reason": "new switches"}
    cluster.etcd.keys.put("/config/redis-1/paused", json.dumps(pause))
    cluster.apply()
    names = {"observer": "safe_redis_observer_paused_since_timestamp_seconds"}
    names["dictator"] = "safe_redis_paused_since_timestamp_seconds"
    for service, name in names.items():
        key = (name, "new switches")
        wait_until(lambda s=service, k=key: scrape(cluster, s).get(k) == 1767225600, f"{service} shows it", 30)  # type: ignore[misc]
    cluster.etcd.keys.delete("/config/redis-1/paused")
    cluster.apply()
    for service, name in names.items():
        key = (name, "new switches")
        wait_until(lambda s=service, k=key: k not in scrape(cluster, s), f"{service} shows its end", 30)  # type: ignore[misc]


@pytest.mark.parametrize("service", ["dictator", "dnsd", "observer"])
def test_is_ready_only_while_what_it_needs_is_reached(cluster: Cluster, service: str) -> None:
    needed = cluster.nameserver if service == "dictator" else cluster.etcd
    wait_until(lambda: get(cluster, service, "/readyz")[:2] == (200, "OK\n"), f"{service} is ready", timeout=30)
    needed.stop()
    try:
        answer = get(cluster, service, "/readyz")
        assert answer.status == 503
        assert answer.body.startswith(("Unresolved: no answer from ", "StoreError: "))
        assert get(cluster, service, "/healthz").status == 200
    finally:
        needed.start()
    wait_until(lambda: get(cluster, service, "/readyz").status == 200, f"{service} is ready again", timeout=30)


def test_other_paths_of_the_observer_are_not_found(cluster: Cluster) -> None:
    assert get(cluster, "observer", "/").status == 404


def names(text: str) -> set[str]:
    return set(re.findall(r"\bsafe_redis_[a-z_]+", text))


def test_the_page_lists_every_metric_and_no_other(cluster: Cluster) -> None:
    shown: set[str] = set()
    for service in ("dictator", "dnsd", "observer"):
        families = text_string_to_metric_families(get(cluster, service, "/metrics").body)
        counted = {family.name + ("_total" if family.type == "counter" else "") for family in families}
        shown |= {name for name in counted if not name.endswith("_created")}
    listed = names((ROOT / "docs/metrics.md").read_text().partition("## Alerts")[0])
    assert listed == shown


def test_alerts_and_dashboard_name_only_what_there_is() -> None:
    page, _, alerts = (ROOT / "docs/metrics.md").read_text().partition("## Alerts")
    dashboard = json.loads((ROOT / "docs/grafana.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert queries
    known = names(page)
    for name in names(alerts) | names(" ".join(queries)):
        assert re.sub(r"_(bucket|sum|count)$", "", name) in known or name in known


@pytest.fixture
def hook() -> Iterator["queue.SimpleQueue[Any]"]:
    """What arrives at ON_SWITCH_URL."""
    received: queue.SimpleQueue[Any] = queue.SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.put((self.path, json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            """Nothing: the test's output is not its place."""

    server = ThreadingHTTPServer(("127.0.0.1", HOOK), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield received
    server.shutdown()
    server.server_close()


def test_a_switch_is_sent_to_the_webhook(cluster: Cluster, hook: "queue.SimpleQueue[Any]") -> None:
    apply(cluster, "core-01")
    apply(cluster, "core-02")
    while True:
        path, receipt = hook.get(timeout=30)
        assert path == "/switched?by=dictator"
        if receipt["master"] == "core-02.redis-1.docker" and receipt["window_ms"]:
            break
    assert receipt["changed"]
    assert receipt["steps"]
    sent = ("safe_redis_hooks_total", "sent")
    wait_until(lambda: scrape(cluster, "dictator").get(sent, 0) > 0, "the call is counted")


def test_a_webhook_that_fails_is_counted_and_changes_nothing(cluster: Cluster) -> None:
    apply(cluster, "core-01")
    failed = ("safe_redis_hooks_total", "failed")
    before = scrape(cluster, "dictator").get(failed, 0)
    apply(cluster, "core-03")
    assert cluster.nodes["core-03"].redis.client().role()[0] == "master"
    wait_until(lambda: scrape(cluster, "dictator").get(failed, 0) > before, "the failure is counted")
