"""PUT /master and what else the dictator answers, from a real process over HTTP."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dictator.app import make
from dictator.apply import Dictator
from dictator.lineage import KEY
from dictator.settings import Settings
from sandbox.process import free_port, wait_until
from tests.dictator.group import PATIENCE, Group, fill
from tests.dictator.service import Service, document

JSON = "application/json"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    quick = {
        "RESOLVE_TIMEOUT": "0.5",
        "REPLY_TIMEOUT": "1",
        "CONNECT_TIMEOUT": "0.5",
        "NAMESERVERS_PORT": str(free_port()),
    }
    with Service(tmp_path / "dictator.log", **quick) as made:
        yield made


def test_answers_200_when_it_is_applied_and_when_it_already_was(trio: Group, service: Service) -> None:
    for _ in range(2):
        answer = service.put(document(trio, "b", "a", "c"))
        assert (answer.status, answer.body) == (200, "OK\n")
        assert answer.headers["Content-Type"].startswith("text/plain")
    trio.is_led_by("b", "a", "c")


def test_gives_a_receipt_to_who_asks_for_json(trio: Group, service: Service) -> None:
    answer = service.put(document(trio, "b", "a", "c"), accept=JSON)
    assert answer.headers["Content-Type"] == JSON
    receipt = json.loads(answer.body)
    steps = [step["step"] for step in receipt["steps"]]
    order = [
        "observe",
        "takeover",
        "observe",
        "checkrights",
        "prepare",
        "verify",
        "intend",
        "halt",
        "pause",
        "drain",
        "fence",
        "drain",
        "promote",
        "handover",
        "follow",
    ]
    assert [step for step in steps if step in order] == order
    assert all(step["ms"] >= 0 for step in receipt["steps"])
    fenced, promoted = (
        next(step for step in receipt["steps"] if step["step"] == name) for name in ("fence", "promote")
    )
    assert promoted["figures"]["offset"] > fenced["figures"]["offset"], "the record comes behind the source's data"
    assert 0 < receipt["window_ms"] < receipt["duration_ms"]
    assert receipt["changed"] is True
    assert receipt["source"].endswith(str(trio.servers["a"].port))
    assert (receipt["discarded"], receipt["syncing"], receipt["left_out"]) == ([], [], [])


def test_answers_202_and_names_what_is_still_open(trio: Group, service: Service) -> None:
    trio.servers["c"].kill()
    answer = service.put(document(trio, "b", "a", "c"))
    assert answer.status == 202
    assert answer.body.startswith("OK; left out: 127.0.0.1:")
    assert str(trio.servers["c"].port) in answer.body
    assert answer.body.count("\n") == 1


def test_answers_409_and_what_force_discards(group: Group, service: Service) -> None:
    group.add("a", "b")
    fill(group["a"], 3)
    fill(group["b"], 5)
    refused = service.put(document(group, "a", "b"))
    assert refused.status == 409
    assert refused.body.startswith("Refused: 2 instances hold data")
    forced = service.put(document(group, "a", "b"), "?force=1")
    assert forced.status == 200
    assert f"discarded: 127.0.0.1:{group.servers['b'].port}: master, 5 keys" in forced.body


def test_answers_503_where_the_master_is_not_found_or_does_not_answer(trio: Group, service: Service) -> None:
    before = trio.state()
    unknown = json.dumps({"master": {"address": "core-09.redis-1.docker"}, "slaves": []})
    answer = service.put(unknown)
    assert (answer.status, answer.body.partition(":")[0]) == (503, "Unresolved")
    assert "core-09.redis-1.docker" in answer.body
    dead = json.dumps({"master": {"address": "127.0.0.1", "port": free_port()}, "slaves": []})
    answer = service.put(dead)
    assert (answer.status, answer.body.partition(":")[0]) == (503, "NoAnswer")
    assert trio.state() == before


def test_answers_504_with_the_figures_where_the_target_does_not_catch_up(trio: Group, tmp_path: Path) -> None:
    trio.proxy("a", "b", "c")
    trio.follow("a", "b", "c")
    before = trio.state()
    trio.proxies["a"].hush()
    trio["a"].set("key:1", "late")
    with Service(tmp_path / "log", SYNC_TIMEOUT="0.5") as service:
        answer = service.put(document(trio, "b", "a", "c"))
        assert answer.status == 504
        assert answer.body.startswith("NotCaughtUp: ")
        assert "gave up after 0.5 s" in answer.body
        trio.proxies["a"].mend()
        trio.is_led_by("a", "b", "c")
        trio["a"].delete("written:by:the:test")
        assert trio.state() == before


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ("[]", "Expected `object`"),
        ("{}", "missing required field `master`"),
        ('{"master": {"address": "127.0.0.1"}}', "missing required field `slaves`"),
        ('{"master": {"address": ""}, "slaves": []}', "master.address"),
        ('{"master": {"address": "127.0.0.1", "port": 0}, "slaves": []}', "master.port"),
        ('{"master": {"address": "127.0.0.1", "port": "6379"}, "slaves": []}', "master.port"),
        ('{"master": {"address": "127.0.0.1", "x": 1}, "slaves": []}', "unknown field `x`"),
        ('{"master": {"address": "127.0.0.1"}, "slaves": [{"address": "127.0.0.1", "port": 6379}]}', "same instance"),
    ],
)
def test_answers_400_and_names_the_field(service: Service, body: str | bytes, reason: str) -> None:
    answer = service.put(body)
    assert answer.status == 400
    assert answer.body.startswith("DocumentError: ")
    assert reason in answer.body


def test_answers_413_404_and_405(service: Service) -> None:
    assert service.put(b" " * (1 << 20) + b"{}").status == 413
    assert service.request("GET", "/nothing").status == 404
    answer = service.request("DELETE", "/master")
    assert answer.status == 405
    assert {"GET", "PUT"} <= set(answer.headers["Allow"].replace(" ", "").split(","))
    assert service.request("PUT", "/healthz").status == 405
    assert service.put("{}", "?force=yes").status == 400


def test_a_dry_run_tells_the_steps_and_touches_nothing(trio: Group, service: Service) -> None:
    master = trio.servers["a"].address
    plain = service.put(document(trio, "a", "b", "c"), "?dry_run=1").body
    assert re.search(rf"^record at {master}: epoch \d+, served by {master}$", plain, re.MULTILINE)
    assert trio["a"].get(KEY) is None
    trio.apply("a", "b", "c")
    # the record has reached the slaves by then, which count it as a SET of their own
    trio.is_led_by("a", "b", "c")
    before = trio.state()
    for name in "abc":
        trio[name].config_resetstat()
    answer = service.put(document(trio, "b", "a", "c"), "?dry_run=1")
    assert answer.status == 200
    lines = answer.body.splitlines()
    source, target = trio.servers["a"].address, trio.servers["b"].address
    assert f"fence {source}" in lines
    assert (
        lines.index(f"fence {source}")
        < lines.index(f"promote {target}")
        < lines.index(f"hand over {source} to {target}")
    )
    assert trio.state() == before
    used = {statistic.removeprefix("cmdstat_") for name in "abc" for statistic in trio[name].info("commandstats")}
    changing = {"replicaof", "client|pause", "config|set", "config|rewrite", "set", "client|setname", "multi"}
    assert not used & changing
    assert service.put(document(trio, "a", "b", "c"), "?dry_run=1").body == "nothing to do\n"
    assert json.loads(service.request("GET", "/master").body)["topology"] is None


def test_shows_the_applied_topology_and_what_its_instances_say_now(trio: Group, service: Service) -> None:
    assert json.loads(service.request("GET", "/master").body) == {"topology": None, "instances": []}
    wanted = document(trio, "b", "a", "c")
    service.put(wanted)
    trio.is_led_by("b", "a", "c")
    trio.servers["c"].kill()
    shown = json.loads(service.request("GET", "/master").body)
    assert shown["topology"] == json.loads(wanted)
    master, slave, dead = shown["instances"]
    assert (master["role"], master["parked"]) == ("master", False)
    assert (slave["role"], slave["link"], slave["lag"]) == ("slave", "up", 0)
    assert slave["offset"] == master["offset"]
    assert "error" in dead


@pytest.mark.parametrize("catches_up", [True, False], ids=["finishes", "rolls back"])
def test_a_put_under_way_outlives_a_sigterm(group: Group, tmp_path: Path, catches_up: bool) -> None:  # noqa: FBT001
    group.add("a", "b")
    fill(group["a"], 1000)
    group["a"].config_set("rdb-key-save-delay", 1_500 if catches_up else 20_000)
    service = Service(tmp_path / "log", SYNC_TIMEOUT="20" if catches_up else "1")
    with service:
        request = service.start_put(document(group, "b", "a"))
        wait_until(lambda: group.replication("b")["role"] == "slave", "the switch has begun", PATIENCE)
        service.stop(timeout=60)
        answer = request.result(PATIENCE)
    if catches_up:
        assert answer.status == 200, answer
        group.is_led_by("b", "a")
        assert group.keys("b") == 1001
    else:
        assert answer.status == 504, answer
        assert group.replication("a")["role"] == "master"
        assert group["a"].set("still", "writable")
    assert service.process.returncode == 0


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["master", "slaves", "address", "port"]) | st.text(max_size=5), inner, max_size=4
        )
    ),
    max_leaves=8,
)
addresses = st.fixed_dictionaries(
    {"address": st.sampled_from(["127.0.0.1", "::1"]) | st.text(max_size=8)}, optional={"port": st.integers(-1, 2)}
)
nearly_right = st.fixed_dictionaries({"master": addresses, "slaves": st.lists(addresses, max_size=2)})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.binary(max_size=40) | documents.map(msgspec.json.encode) | nearly_right.map(msgspec.json.encode))
def test_no_document_whatever_is_an_error_of_the_service(body: bytes) -> None:
    answer = CLIENT.put("/master", data=body)
    assert answer.status_code in (400, 503), answer.text
    assert answer.text.endswith("\n")
    assert answer.text.count("\n") == 1


def _client() -> Any:
    nowhere = Settings(
        nameservers=("127.0.0.1",), nameservers_port=free_port(), resolve_timeout=0.05, connect_timeout=0.2
    )
    return make(Dictator(nowhere)).test_client()


CLIENT = _client()


def test_refuses_an_older_topology_than_one_that_it_has_taken(trio: Group, service: Service) -> None:
    def put(master: str, slave: str, index: int, cluster: str) -> tuple[int, str]:
        headers = {"Topology-Index": str(index), "Topology-Cluster": cluster}
        answer = service.request("PUT", "/master", document(trio, master, slave, "c"), headers=headers)
        return answer.status, answer.body

    assert put("b", "a", 12, "x") == (200, "OK\n")
    assert put("b", "a", 12, "x") == (200, "OK\n")
    line = "Outdated: the document is index 11 of etcd x; index 12 of etcd x was applied already\n"
    assert put("a", "b", 11, "x") == (409, line)
    trio.is_led_by("b", "a", "c")
    assert put("a", "b", 3, "y") == (200, "OK\n"), "etcd began anew"
    assert put("b", "a", 13, "x")[0] == 409, "of the etcd before"
    trio.is_led_by("a", "b", "c")
