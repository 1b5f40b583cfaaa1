"""The dictator's history: kept in etcd by the observer, and given back to a dictator that restarted."""

import json
from typing import Any

from sandbox.cluster import Cluster
from sandbox.process import wait_until

HISTORY = "/config/redis-1/history"


def history(cluster: Cluster) -> Any:
    return json.loads(cluster.dictator.request("GET", "/history").body)


def stored(cluster: Cluster) -> list[Any]:
    """The entries in etcd, oldest first."""
    nodes = (cluster.etcd.keys.node(HISTORY) or {}).get("nodes", [])
    return [json.loads(node["value"]) for node in sorted(nodes, key=lambda node: str(node["key"]))]


def masters(entries: list[Any]) -> list[str]:
    """The masters that were applied, without repetitions."""
    names = [entry["master"].partition(".")[0] for entry in entries]
    return [name for at, name in enumerate(names) if names[at - 1 : at] != [name]]


def move(cluster: Cluster, master: str) -> None:
    cluster.define(cluster.document(master))
    cluster.apply()
    wait_until(lambda: masters(stored(cluster))[-1:] == [master], f"etcd's history ends with {master}", timeout=30)


def test_survives_a_restart_of_the_dictator(cluster: Cluster) -> None:
    for master in ("core-01", "core-02", "core-03"):
        move(cluster, master)
    before = stored(cluster)
    assert [entry for entry in before if entry["receipt"]["window_ms"]], "a switch has its receipt"
    assert history(cluster)["entries"][-1]["receipt"]["steps"]
    cluster.dictator.kill()
    cluster.dictator.start()
    ids = {entry["id"] for entry in before}
    wait_until(
        lambda: ids <= {entry["id"] for entry in history(cluster)["entries"]}, "the dictator has them back", timeout=30
    )
    entries = history(cluster)["entries"]
    assert [entry["id"] for entry in entries] == sorted(entry["id"] for entry in entries)
    assert {entry["id"]: entry for entry in entries} | {entry["id"]: entry for entry in before} == {
        entry["id"]: entry for entry in entries
    }


def test_keeps_the_last_hundred_and_repetitions_as_one(cluster: Cluster) -> None:
    move(cluster, "core-01")
    for number in range(150):
        entry = {"id": f"2020-01-01T00:00:00.{number:06}Z", "last": "", "master": "a", "slaves": [], "force": False}
        entry |= {"result": "applied", "line": "", "duration_ms": 1}
        cluster.etcd.keys.put(f"{HISTORY}/{entry['id']}", json.dumps(entry))
    cluster.observer.kill()
    cluster.observer.start()
    wait_until(lambda: len(stored(cluster)) == 100, "etcd has the last hundred", timeout=30)
    wait_until(lambda: len(history(cluster)["entries"]) == 100, "so has the dictator", timeout=30)
    latest = history(cluster)["entries"][-1]
    assert latest["master"] == "core-01.redis-1.docker"
    cluster.apply()
    wait_until(
        lambda: history(cluster)["entries"][-1]["times"] > latest["times"], "a repetition is counted", timeout=30
    )
    assert len(history(cluster)["entries"]) == 100
    assert stored(cluster)[0]["id"] > "2020-01-01T00:00:00.000049Z"


def test_the_dictator_learns_of_a_pause(cluster: Cluster) -> None:
    move(cluster, "core-01")
    pause = {"since": "2026-01-01T00:00:00Z", "reason": "new switches"}
    cluster.etcd.keys.put("/config/redis-1/paused", json.dumps(pause))
    cluster.apply()
    wait_until(lambda: history(cluster)["paused"] == pause, "the dictator knows of the pause", timeout=30)
    cluster.etcd.keys.delete("/config/redis-1/paused")
    cluster.apply()
    wait_until(lambda: history(cluster)["paused"] is None, "the dictator knows of its end", timeout=30)


def test_a_bad_history_is_refused(cluster: Cluster) -> None:
    nested = 100_000
    for body in ("{", '{"entries": [{"id": 1}]}', "[]", f'{{"entries": [], "x": {"[" * nested}{"]" * nested}}}'):
        answer = cluster.dictator.request("PUT", "/history", body)
        assert answer.status == 400
        assert answer.body.startswith("DocumentError: not a history")


def test_an_entry_that_the_dictator_refuses_keeps_no_other_from_being_kept_or_given_back(cluster: Cluster) -> None:
    move(cluster, "core-01")
    before = stored(cluster)
    for name, value in (("2020", "garbage"), ("2021", '{"id": 1}'), ("2022", "]} {")):
        cluster.etcd.keys.put(f"{HISTORY}/{name}", value)
    for service in (cluster.observer, cluster.dictator):
        service.kill()
        service.start()
    cluster.define(cluster.document("core-02"))
    cluster.apply()

    def kept() -> bool:
        nodes = (cluster.etcd.keys.node(HISTORY) or {}).get("nodes", [])
        return any('"master":"core-02' in node["value"] for node in nodes)

    wait_until(kept, "etcd has the entry of core-02")
    ids = {entry["id"] for entry in history(cluster)["entries"]}
    assert {entry["id"] for entry in before} <= ids
    log = cluster.directory / "observer" / "log"
    wait_until(lambda: log.read_text().count("which the dictator refuses") == 3, "each is named")
