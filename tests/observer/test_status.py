"""What the observer writes of each run, and that a pause keeps it from applying anything."""

import json
from typing import Any

import pytest

from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from tests.observer.conftest import TRIGGER, Config, Receiver, StartObserver

STATUS = "/config/redis-1/topology-status"
PAUSED = "/config/redis-1/paused"


def status(etcd: EtcdServer) -> dict[str, Any]:
    return json.loads(etcd.keys.get(STATUS) or "{}")  # type: ignore[no-any-return]


def wait_for_state(etcd: EtcdServer, state: str) -> dict[str, Any]:
    wait_until(lambda: status(etcd).get("state") == state, f"the state is {state}, has {status(etcd)}")
    return status(etcd)


def test_writes_the_state_of_each_kind_of_run(
    etcd: EtcdServer, config: Config, dictator: Receiver, start_observer: StartObserver
) -> None:
    start_observer(RETRY_MAX="0.05")
    undefined = wait_for_state(etcd, "undefined")
    assert (undefined["trigger"], undefined["receivers"]) == (0, [])
    assert undefined["line"] == "no topology is defined at /config/redis-1/topology"
    config.define("a")
    for answer, state in ((409, "refused"), (200, "applied"), (400, "refused"), (202, "open"), (500, "failed")):
        dictator.will_answer(*[answer] * (1000 if state in ("open", "failed") else 1))
        config.trigger(state)
        written = wait_for_state(etcd, state)
        assert written["value"] == state
        assert written["receivers"][0] == {"url": dictator.url(), "status": answer, "line": "OK"}
        while not dictator.answers.empty():
            dictator.answers.get()


def test_names_the_trigger_and_the_document_by_their_indexes(
    etcd: EtcdServer, config: Config, start_observer: StartObserver
) -> None:
    config.define("a")
    start_observer()
    for _ in range(2):
        config.trigger()
        index = (etcd.keys.node(TRIGGER) or {})["modifiedIndex"]
        wait_until(lambda index=index: status(etcd).get("trigger") == index, f"the trigger {index} is reported")  # type: ignore[misc]
    document = etcd.keys.node("/config/redis-1/topology") or {}
    assert status(etcd)["document"] == document["modifiedIndex"]


def test_a_receiver_that_is_not_reached_is_named(
    etcd: EtcdServer, config: Config, dictator: Receiver, start_observer: StartObserver
) -> None:
    dictator.stop()
    config.define("a")
    start_observer()
    assert f"NotSent: {dictator.url()}" in wait_for_state(etcd, "failed")["line"]


def test_a_run_counts_though_its_status_cannot_be_written(
    etcd: EtcdServer, config: Config, dnsd: Receiver, start_observer: StartObserver
) -> None:
    etcd.keys.put(f"{STATUS}/below", "so that the key can't be written")
    config.define("a")
    observer = start_observer()
    dnsd.got(1)
    observer.says("failed to report the run")
    observer.says("every receiver answered 200")
    assert len(dnsd.puts) == 1


def test_applies_nothing_while_paused_and_says_since_when_and_why(
    etcd: EtcdServer, config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    etcd.keys.put(PAUSED, json.dumps({"since": "2026-01-01T00:00:00Z", "reason": "new switches"}))
    start_observer()
    config.trigger("while paused")
    wait_until(lambda: status(etcd).get("value") == "while paused", "the run for the trigger has ended")
    assert wait_for_state(etcd, "paused")["line"] == "paused since 2026-01-01T00:00:00Z: new switches"
    etcd.keys.delete(PAUSED)
    config.trigger()
    dnsd.got(1)
    assert len(dictator.puts) == 1


@pytest.mark.parametrize("value", ["new switches", "", "[]", '{"since": 1}', '{"x":' + "[" * 5000 + "]" * 5000 + "}"])
def test_anything_at_the_key_pauses(
    etcd: EtcdServer, config: Config, dictator: Receiver, start_observer: StartObserver, value: str
) -> None:
    config.define("a")
    etcd.keys.put(PAUSED, value)
    observer = start_observer()
    assert wait_for_state(etcd, "paused")["line"].startswith("paused")
    assert dictator.puts == []
    assert observer.count("Traceback") == 0


def test_a_force_that_was_given_while_paused_is_dropped(
    etcd: EtcdServer, config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    etcd.keys.put(PAUSED, "not JSON pauses, too")
    start_observer()
    config.trigger("force")
    wait_until(lambda: status(etcd).get("value") == "force", "the run for the force has ended")
    etcd.keys.delete(PAUSED)
    config.trigger()
    dnsd.got(1)
    assert [put.target for put in dictator.puts] == ["/master"]
