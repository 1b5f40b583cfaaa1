"""`force` is passed on once, and RETRIGGER chains triggers."""

import shutil
from pathlib import Path

import pytest

from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from tests.observer.conftest import Config, Receiver, StartObserver

CHAINED = "/config/redis-1/chained-trigger"


def test_force_is_passed_on_once(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    start_observer()
    dnsd.got(1)
    config.trigger("force")
    dnsd.got(2)
    config.trigger("operator")
    dnsd.got(3)
    assert [put.target for put in dictator.puts] == ["/master", "/master?force=1", "/master"]
    assert [put.target for put in dnsd.puts] == ["/dns", "/dns?force=1", "/dns"]


def test_force_is_added_to_a_query(config: Config, dictator: Receiver, start_observer: StartObserver) -> None:
    config.define("a")
    observer = start_observer(NOTIFIES=dictator.url("/master?x=1"))
    observer.says("ended the run")
    config.trigger("force")
    assert dictator.got(2)[1].target == "/master?x=1&force=1"


def test_an_old_force_is_not_passed_on_at_start(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    config.trigger("force")
    start_observer()
    dnsd.got(1)
    assert dictator.puts[0].target == "/master"


def test_force_is_not_repeated_once_it_was_answered(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    start_observer()
    dnsd.got(1)
    dictator.will_answer(503, 202, 200)
    config.trigger("force")
    dnsd.got(3)
    assert [put.target for put in dictator.puts[1:]] == ["/master?force=1", "/master", "/master"]


def test_force_is_not_repeated_when_the_second_receiver_fails(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    start_observer()
    dnsd.got(1)
    dnsd.will_answer(500)
    config.trigger("force")
    dnsd.got(3)
    assert [put.target for put in dictator.puts[1:]] == ["/master?force=1", "/master"]


def test_force_is_not_repeated_when_the_answer_got_lost(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    start_observer()
    dnsd.got(1)
    dictator.will_answer(0)
    config.trigger("force")
    dnsd.got(2)
    assert [put.target for put in dictator.puts[1:]] == ["/master?force=1", "/master"]


def test_force_is_kept_while_the_dictator_cannot_be_connected_to(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    observer = start_observer()
    dnsd.got(1)
    dictator.stop()
    config.trigger("force")
    observer.says("can't be connected to", 2)
    dictator.start()
    dnsd.got(2)
    assert dictator.puts[1].target == "/master?force=1"


def test_force_outlives_a_trigger_that_comes_after_it(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    dictator.go_on.clear()
    observer = start_observer()
    dictator.got(1)
    config.trigger("force")
    config.trigger("core-02")
    observer.says("saw trigger", 2)
    dictator.go_on.set()
    dnsd.got(2)
    assert [put.target for put in dictator.puts] == ["/master", "/master?force=1"]


def test_force_does_not_apply_to_a_topology_that_was_defined_after_it(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    dictator.go_on.clear()
    observer = start_observer()
    dictator.got(1)
    config.trigger("force")
    config.define("b")
    config.trigger("operator")
    observer.says("saw trigger", 2)
    dictator.go_on.set()
    dnsd.got(2)
    assert [(put.target, put.name) for put in dictator.puts] == [("/master", "a"), ("/master", "b")]
    assert observer.count("dropped the force") == 1


def test_writes_the_triggers_value_to_retrigger_after_success(
    etcd: EtcdServer, config: Config, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    observer = start_observer(RETRIGGER=CHAINED)
    observer.says("ended the run")
    dnsd.will_answer(503)
    config.trigger("core-02")
    observer.says("a receiver failed")
    observer.says("wrote 'core-02'")
    assert etcd.keys.get(CHAINED) == "core-02"
    log = observer.log.read_text()
    assert log.index("a receiver failed") < log.index("wrote 'core-02'")


def test_a_refused_run_does_not_retrigger(
    etcd: EtcdServer, config: Config, dictator: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    dictator.will_answer(409)
    observer = start_observer(RETRIGGER=CHAINED)
    observer.says("a receiver refused it")
    assert etcd.keys.get(CHAINED) is None


def test_what_is_open_retriggers_at_once_and_again_when_it_is_done(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    observer = start_observer(RETRIGGER=CHAINED)
    dnsd.got(1)
    dictator.will_answer(202, 202, 202)
    config.trigger("force")
    observer.says("every receiver answered 200", 2)
    assert observer.count("wrote 'force'") == 1
    assert observer.count("wrote 'again'") == 1


def test_a_retrigger_that_etcd_refused_is_written_by_the_next_try(
    etcd: EtcdServer, config: Config, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    etcd.keys.put("/config/other", "in the way: no directory")
    observer = start_observer(RETRIGGER="/config/other/trigger")
    observer.says("refused to write /config/other/trigger")
    config.trigger("core-02")
    observer.says("saw trigger")
    observer.says("refused to write /config/other/trigger", 2)
    etcd.keys.delete("/config/other")
    wait_until(lambda: etcd.keys.get("/config/other/trigger") == "core-02", "the trigger is written")


def test_observers_chain(config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver) -> None:
    config.define("a")
    first = start_observer(log="first.log", NOTIFIES=dictator.url(), RETRIGGER=CHAINED)
    second = start_observer(log="second.log", NOTIFIES=dnsd.url("/dns"), TRIGGER=CHAINED)
    first.says("ended the run")
    second.says("ended the run")
    before = len(dnsd.puts)
    dictator.go_on.clear()
    config.define("b")
    config.trigger("force")
    dictator.got(2)
    assert len(dnsd.puts) == before
    dictator.go_on.set()
    wait_until(lambda: len(dnsd.puts) > before, "the second observer is triggered by the first")
    assert (dnsd.puts[-1].target, dnsd.puts[-1].name) == ("/dns?force=1", "b")


@pytest.mark.parametrize("events", [0, 300], ids=["index_lower", "index_higher"])
def test_a_pending_force_is_dropped_when_etcd_begins_anew(
    etcd: EtcdServer,
    config: Config,
    dictator: Receiver,
    dnsd: Receiver,
    start_observer: StartObserver,
    tmp_path: Path,
    events: int,
) -> None:
    config.define("a")
    observer = start_observer()
    dnsd.got(1)
    dictator.stop()
    config.trigger("force")
    observer.says("can't be connected to")
    etcd.stop()
    shutil.rmtree(tmp_path / "etcd" / "data")
    observer.says("failed to watch")
    observer.pause()
    etcd.start()
    for number in range(events):
        etcd.keys.put("/elsewhere", str(number))
    config.define("b")
    observer.resume()
    observer.says("dropped the force")
    dictator.start()
    assert dnsd.got(2, timeout=20)[-1].name == "b"
    assert {put.target for put in dictator.puts} == {"/master"}


def test_a_pending_force_does_not_apply_to_a_topology_that_was_defined_while_it_waited(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    observer = start_observer()
    dnsd.got(1)
    dictator.stop()
    config.trigger("force")
    observer.says("can't be connected to")
    config.define("b")
    observer.says("dropped the force")
    dictator.start()
    assert dnsd.got(2)[-1].name == "b"
    assert {put.target for put in dictator.puts} == {"/master"}
