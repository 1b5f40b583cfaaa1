"""The page in a real browser, in each state of a real cluster."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.cluster import Cluster
from sandbox.process import wait_until
from tests.page.browser import Browser


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("browser"))
    try:
        browser.start()
        yield browser
    finally:
        browser.stop()


@pytest.fixture
def browser(running: Browser, cluster: Cluster) -> Iterator[Browser]:
    """Shows the page; a console error fails the test."""
    running.resize(1000, 900)
    running.open(f"{cluster.dictator.url}/")
    yield running
    assert running.errors() == []


def history(cluster: Cluster) -> Any:
    return json.loads(cluster.dictator.request("GET", "/history").body)


def put(cluster: Cluster, master: str, query: str = "") -> int:
    body = json.dumps(cluster.document(master))
    return cluster.dictator.request("PUT", f"/master{query}", body).status


def apply(cluster: Cluster, master: str) -> None:
    """Bring all nodes up, and have this one made master, with all others following."""
    for node in cluster.nodes.values():
        if not node.running:
            node.start()
    wait_until(lambda: put(cluster, master, "?force=1") == 200, f"{master} is master", timeout=60, interval=0.2)


def test_says_what_to_do_when_nothing_was_applied(cluster: Cluster, browser: Browser) -> None:
    assert "No topology has been applied" in browser.text()
    assert "sh scripts/define-topology.sh topology.json" in browser.text()


def test_shows_master_slaves_switches_and_steps_when_all_is_well(cluster: Cluster, browser: Browser) -> None:
    for master in ("core-01", "core-02", "core-03", "core-01"):
        apply(cluster, master)
    browser.open(f"{cluster.dictator.url}/")
    browser.waits_for("All is as wanted")
    text = browser.text()
    address = f"127.0.0.1:{cluster.nodes['core-01'].port}"
    assert f"core-01.redis-1.docker master {address} " in text
    assert "link up, lag 0 B" in text
    assert text.count("became master · window") == 3
    assert browser.run("return document.querySelectorAll('.tree > li').length") == 1
    assert browser.run("return document.querySelectorAll('.tree li li').length") == 2
    browser.run("document.querySelector('summary').click()")
    assert "promote core-01.redis-1.docker" in browser.text()
    shown = browser.run("return document.querySelectorAll('svg rect.in-window').length")
    assert shown >= 3 * 3
    if picture := os.environ.get("SCREENSHOT"):
        browser.run("document.querySelector('summary').click()")
        browser.resize(1000, 900)
        browser.screenshot(Path(picture))


def test_refreshes_itself_and_leaves_open_what_is_open(cluster: Cluster, browser: Browser) -> None:
    apply(cluster, "core-01")
    apply(cluster, "core-02")
    browser.waits_for("core-02.redis-1.docker became master")
    browser.run("document.querySelector('summary').click()")
    apply(cluster, "core-03")
    browser.waits_for("core-03.redis-1.docker became master")
    assert browser.run("return document.querySelectorAll('details[open]').length") == 1


def test_names_a_slave_that_is_down(cluster: Cluster, browser: Browser) -> None:
    apply(cluster, "core-01")
    cluster.nodes["core-03"].kill()
    assert put(cluster, "core-01") == 202
    browser.waits_for("One instance is not as wanted")
    assert "Follow no master of this topology core-03.redis-1.docker unreachable" in browser.text()
    assert browser.run("return document.querySelectorAll('tr.differs').length") == 1


def test_names_a_parked_instance(cluster: Cluster, browser: Browser) -> None:
    apply(cluster, "core-01")
    cluster.nodes["core-01"].redis.client().replicaof("127.0.0.1", "0")
    browser.waits_for("No master")
    assert "parked: it refuses writes until a topology is applied" in browser.text()
    # the slaves are still drawn below the instance that they follow
    assert browser.run("return document.querySelectorAll('.tree li li').length") == 2
    pause = {"entries": [], "paused": {"since": "2026-01-01T00:00:00Z", "reason": "new switches"}}
    cluster.dictator.request("PUT", "/history", json.dumps(pause))
    browser.waits_for("Paused since")
    assert "No master" in browser.text()
    cluster.dictator.request("PUT", "/history", json.dumps({"entries": []}))


def test_shows_a_refusal_in_full(cluster: Cluster, browser: Browser) -> None:
    apply(cluster, "core-01")
    # two histories
    redis = cluster.nodes["core-03"].redis.client()
    redis.replicaof("NO", "ONE")
    redis.set("written", "<b>elsewhere</b>")
    cluster.nodes["core-01"].redis.client().set("written", "here")
    assert put(cluster, "core-01") == 409
    line = history(cluster)["entries"][-1]["line"]
    browser.waits_for("The last topology was not applied: Refused")
    assert line in browser.text()


def test_shows_since_when_and_why_it_is_paused(cluster: Cluster, browser: Browser) -> None:
    apply(cluster, "core-01")
    pause = {"entries": [], "paused": {"since": "2026-01-01T00:00:00Z", "reason": "<i>new</i> switches"}}
    assert cluster.dictator.request("PUT", "/history", json.dumps(pause)).status == 200
    browser.waits_for("Paused: nothing is applied")
    assert "Paused since 2026-01-01T00:00:00Z: <i>new</i> switches." in browser.text()
    cluster.dictator.request("PUT", "/history", json.dumps({"entries": []}))


def test_says_that_it_is_not_updated_when_the_dictator_is_gone(cluster: Cluster, running: Browser) -> None:
    running.open(f"{cluster.dictator.url}/")
    cluster.dictator.stop()
    try:
        running.waits_for("Not updated: the dictator doesn't answer.")
    finally:
        running.open("about:blank")
        running.errors()  # the failed requests
        cluster.dictator.start()


@pytest.mark.parametrize("dark", [False, True])
def test_fits_a_phone_in_the_light_and_in_the_dark(cluster: Cluster, browser: Browser, dark: bool) -> None:  # noqa: FBT001
    apply(cluster, "core-01")
    apply(cluster, "core-02")
    browser.resize(360, 740, dark=dark)
    browser.open(f"{cluster.dictator.url}/")
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    colour = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (colour == "rgb(18, 21, 26)") == dark


def spoken(browser: Browser) -> set[tuple[str, str]]:
    """What a screen reader finds: roles and names."""
    nodes = browser.devtools("Accessibility.getFullAXTree")["nodes"]
    return {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]}


def test_is_all_there_without_script_and_changes_nothing(cluster: Cluster, browser: Browser) -> None:
    apply(cluster, "core-01")
    expected = {
        ("list", "Who follows whom"),
        ("rowheader", "core-01.redis-1.docker"),
        ("columnheader", "Wanted"),
        ("heading", "Now"),
    }
    browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(f"{cluster.dictator.url}/")
        wait_until(lambda: expected <= spoken(browser), "a screen reader finds everything", timeout=30, interval=0.2)
        roles = {role for role, _ in spoken(browser)}
    finally:
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
    assert {"main", "status", "table"} <= roles
    assert not {"button", "textbox", "form"} & roles


def test_nothing_is_loaded_from_elsewhere(cluster: Cluster, browser: Browser) -> None:
    urls = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert all(url.startswith((cluster.dictator.url, "data:")) for url in urls)
    policy = cluster.dictator.request("GET", "/").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")


def test_a_history_is_taken_only_with_the_token(tmp_path: Path) -> None:
    settings = {"dictator": {"TOKEN": "a-secret"}}
    with Cluster(tmp_path / "cluster", nodes=1, settings=settings) as cluster:
        body = json.dumps({"entries": [], "paused": {"reason": "by nobody"}})
        assert cluster.dictator.request("PUT", "/history", body).status == 401
        assert history(cluster)["paused"] is None
        headers = {"Authorization": "Bearer a-secret"}
        assert cluster.dictator.request("PUT", "/history", body, headers=headers).status == 200
        assert history(cluster)["paused"]["reason"] == "by nobody"
