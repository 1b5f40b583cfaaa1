"""define-topology.sh and apply-topology.sh: what they write, and how loudly they fail."""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.etcd import EtcdServer
from sandbox.keys import Keys
from tests.scripts.conftest import Run

TOPOLOGY = "/config/redis-1/topology"
TRIGGER = "/config/redis-1/topology-trigger"
STATUS = "/config/redis-1/topology-status"
DOCUMENT: dict[str, Any] = {
    "master": {"address": "core-01.redis-1.docker"},
    "slaves": [{"address": "fd00::3", "port": 6380}],
}


def test_defines_what_the_file_holds_byte_for_byte(run: Run, keys: Keys, tmp_path: Path) -> None:
    text = '{"master": {"address": "a&b=c+d"},\r\n "slaves": [{"address": "$HOME;`id`"}]}  \n\n'
    (tmp_path / "my topology.json").write_text(text, newline="")
    assert run("define-topology.sh", "my topology.json", cwd=tmp_path).returncode == 0
    assert keys.get(TOPOLOGY) == text


def test_defines_topology_json_unless_told_otherwise(run: Run, keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "topology.json").write_text(json.dumps(DOCUMENT))
    assert run("define-topology.sh", cwd=tmp_path).returncode == 0
    assert json.loads(keys.get(TOPOLOGY) or "") == DOCUMENT


def test_defines_from_stdin(run: Run, keys: Keys) -> None:
    assert run("define-topology.sh", "-", stdin=json.dumps(DOCUMENT)).returncode == 0
    assert json.loads(keys.get(TOPOLOGY) or "") == DOCUMENT


def test_defining_alone_does_not_trigger(run: Run, keys: Keys) -> None:
    run("define-topology.sh", "-", stdin=json.dumps(DOCUMENT))
    assert keys.get(TRIGGER) is None


def test_another_cluster_has_its_own_keys(run: Run, keys: Keys) -> None:
    run("define-topology.sh", "-", stdin=json.dumps(DOCUMENT), env={"CLUSTER": "redis-2"})
    run("apply-topology.sh", "--no-wait", env={"CLUSTER": "redis-2"})
    assert json.loads(keys.get("/config/redis-2/topology") or "") == DOCUMENT
    assert keys.get("/config/redis-2/topology-trigger")
    assert keys.get(TOPOLOGY) is None


def test_a_file_that_cannot_be_read_is_named(run: Run, keys: Keys, tmp_path: Path) -> None:
    result = run("define-topology.sh", "nowhere.json", cwd=tmp_path)
    assert result.returncode == 1
    assert "nowhere.json" in result.stderr
    assert keys.get(TOPOLOGY) is None


def test_more_than_one_file_is_refused(run: Run, tmp_path: Path) -> None:
    assert run("define-topology.sh", "a", "b", cwd=tmp_path).returncode == 1


def test_applying_changes_the_trigger_each_time(run: Run, keys: Keys) -> None:
    values = []
    for _ in range(2):
        assert run("apply-topology.sh", "--no-wait").returncode == 0
        values.append(keys.get(TRIGGER))
    assert None not in values
    assert "force" not in values
    assert values[0] != values[1]


def test_applying_by_force_says_so_in_the_trigger(run: Run, keys: Keys) -> None:
    assert run("apply-topology.sh", "--no-wait", "--force").returncode == 0
    assert keys.get(TRIGGER) == "force"


def test_an_unknown_option_writes_no_trigger(run: Run, keys: Keys) -> None:
    result = run("apply-topology.sh", "--fore")
    assert result.returncode == 1
    assert "--fore" in result.stderr
    assert keys.get(TRIGGER) is None


def test_an_etcd_that_is_down_is_told_on_stderr(run: Run, etcd: EtcdServer) -> None:
    etcd.stop()
    for name, stdin in (
        ("define-topology.sh", json.dumps(DOCUMENT)),
        ("apply-topology.sh", ""),
        ("mess-with-cluster.sh", ""),
    ):
        arguments = ["-"] if name.startswith("define") else []
        result = run(name, *arguments, stdin=stdin)
        assert result.returncode == 1, name
        assert name in result.stderr
        assert etcd.url in result.stderr


def test_an_error_of_etcd_is_told_on_stderr(run: Run, keys: Keys) -> None:
    for key, name in ((TOPOLOGY, "define-topology.sh"), (TRIGGER, "apply-topology.sh")):
        keys.put(f"{key}/below", "so the key is a folder and can't be written")
        arguments = ["-"] if name.startswith("define") else []
        result = run(name, *arguments, stdin=json.dumps(DOCUMENT))
        assert result.returncode == 1
        assert key in result.stderr


def test_without_an_observer_applying_says_that_there_is_no_outcome(run: Run) -> None:
    result = run("apply-topology.sh", "--timeout", "1")
    assert result.returncode == 1
    assert "no outcome within 1 s at /config/redis-1/topology-status: is the observer running?" in result.stderr


def test_an_older_outcome_is_not_taken_for_ours(run: Run, keys: Keys) -> None:
    run("apply-topology.sh", "--no-wait")
    index = (keys.node(TRIGGER) or {})["modifiedIndex"]
    keys.put(STATUS, json.dumps({"trigger": index, "state": "applied", "line": "OK"}))
    result = run("apply-topology.sh", "--timeout", "1")
    assert result.returncode == 1
    assert "no outcome" in result.stderr


@pytest.mark.parametrize("timeout", ["", "soon", "-1", "1.5"])
def test_a_bad_timeout_writes_no_trigger(run: Run, keys: Keys, timeout: str) -> None:
    result = run("apply-topology.sh", "--timeout", timeout)
    assert result.returncode == 1
    assert f"--timeout {timeout}" in result.stderr
    assert keys.get(TRIGGER) is None


def test_a_paused_cluster_is_not_triggered(run: Run, keys: Keys) -> None:
    keys.put("/config/redis-1/paused", json.dumps({"since": "2026-01-01T00:00:00Z", "reason": "new switches"}))
    result = run("apply-topology.sh")
    assert result.returncode == 1
    assert (
        "paused since 2026-01-01T00:00:00Z: new switches; nothing is applied until pause.sh --resume" in result.stderr
    )
    assert keys.get(TRIGGER) is None


def test_a_bad_document_leaves_etcd_alone_and_names_the_field(run: Run, keys: Keys) -> None:
    keys.put(TOPOLOGY, "what was there")
    for document, problem in (
        ({**DOCUMENT, "slave": []}, 'unknown field "slave"'),
        ({**DOCUMENT, "master": {"address": "core-01", "port": 70000}}, "master.port is not a number from 1 to 65535"),
        (
            {"master": {"address": "fd00:0::3", "port": 6380}, "slaves": DOCUMENT["slaves"]},
            "slaves[0] is the same instance",
        ),
        ("{", "not JSON"),
    ):
        text = document if isinstance(document, str) else json.dumps(document)
        result = run("define-topology.sh", "--apply", "-", stdin=text)
        assert result.returncode == 1
        assert problem in result.stderr
        assert keys.get(TOPOLOGY) == "what was there"
        assert keys.get(TRIGGER) is None


def test_options_of_applying_need_apply(run: Run, keys: Keys) -> None:
    result = run("define-topology.sh", "--force", "-", stdin=json.dumps(DOCUMENT))
    assert result.returncode == 1
    assert "--force" in result.stderr
    assert keys.get(TOPOLOGY) is None
