"""What the observer does with a trigger: runs, repetitions, and what makes it stop repeating."""

import time

import pytest

from sandbox.etcd import EtcdServer
from sandbox.process import free_port
from tests.observer.conftest import TRIGGER, Config, Receiver, StartObserver


def test_applies_once_at_its_own_start(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    text = config.define("a")
    observer = start_observer()
    dnsd.got(1)
    observer.says("ended the run for 'start'")
    assert [(put.target, put.body) for put in dictator.puts] == [("/master", text)]
    assert [(put.target, put.body) for put in dnsd.puts] == [("/dns", text)]


def test_says_that_there_is_no_topology_and_waits(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    observer = start_observer()
    observer.says("found no topology at /config/redis-1/topology")
    config.define("a")
    config.trigger()
    dnsd.got(1)
    assert len(dictator.puts) == 1


def test_each_trigger_is_a_run(config: Config, dnsd: Receiver, start_observer: StartObserver) -> None:
    config.define("a")
    start_observer()
    dnsd.got(1)
    for number, master in enumerate(("b", "c", "d"), start=2):
        config.define(master)
        config.trigger()
        assert dnsd.got(number)[-1].name == master


def test_the_same_value_again_is_a_trigger(config: Config, dnsd: Receiver, start_observer: StartObserver) -> None:
    config.define("a")
    start_observer()
    for number in (2, 3):
        dnsd.got(number - 1)
        config.trigger("same")
        dnsd.got(number)


def test_a_deleted_trigger_is_none(
    etcd: EtcdServer, config: Config, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    config.trigger()
    observer = start_observer()
    dnsd.got(1)
    etcd.keys.delete(TRIGGER)
    observer.says("was deleted")
    config.trigger()
    dnsd.got(2)
    observer.says("ended the run for 'operator'", 2)
    assert len(dnsd.puts) == 2


def test_the_trigger_itself_may_be_the_topology(
    config: Config, dnsd: Receiver, start_observer: StartObserver, etcd: EtcdServer
) -> None:
    observer = start_observer(READ="")
    observer.says(f"found no topology at {TRIGGER}")
    etcd.keys.put(TRIGGER, config.define("a"))
    assert dnsd.got(1)[0].name == "a"


def test_triggers_that_arrive_while_it_works_are_one_more_run(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    dictator.go_on.clear()
    observer = start_observer()
    dictator.got(1)
    for master in ("b", "c", "d"):
        config.define(master)
        config.trigger(master)
    observer.says("saw trigger", 3)
    dictator.go_on.set()
    observer.says("ended the run for 'd'")
    assert [put.name for put in dictator.puts] == ["a", "d"]
    assert [put.name for put in dnsd.puts] == ["a", "d"]


@pytest.mark.parametrize("status", [500, 503, 504, 302, 0])
def test_repeats_a_failed_run_until_it_succeeds(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, status: int
) -> None:
    config.define("a")
    dictator.will_answer(status, status, status)
    observer = start_observer()
    observer.says("every receiver answered 200")
    assert [put.target for put in dictator.puts] == ["/master"] * 4
    assert len(dnsd.puts) == 1


def test_a_failure_of_the_second_receiver_repeats_the_whole_run(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    dnsd.will_answer(503)
    observer = start_observer()
    observer.says("every receiver answered 200")
    assert (len(dictator.puts), len(dnsd.puts)) == (2, 2)


def test_repeats_until_a_receiver_that_is_down_is_back(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    dictator.stop()
    observer = start_observer()
    observer.says("can't be connected to", 2)
    assert dnsd.puts == []
    dictator.start()
    dnsd.got(1)


def test_does_not_wait_for_ever_for_an_answer(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    dictator.go_on.clear()
    observer = start_observer(NOTIFY_TIMEOUT="0.2")
    observer.says("gave no answer within", 2)
    assert dnsd.puts == []
    dictator.go_on.set()
    dnsd.got(1)


def test_a_newer_trigger_ends_the_pause_and_replaces_a_failed_run(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    dictator.will_answer(503)
    observer = start_observer(RETRY_FIRST="3600", RETRY_MAX="3600")
    observer.says("ended the run")
    config.define("b")
    config.trigger()
    dnsd.got(1)
    assert [put.name for put in dictator.puts] == ["a", "b"]


def test_a_202_notifies_the_next_and_is_repeated_until_a_200(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    dictator.will_answer(202, 202, 200)
    dnsd.will_answer(202, 200, 202, 200)
    observer = start_observer()
    observer.says("every receiver answered 200")
    assert (len(dictator.puts), len(dnsd.puts)) == (4, 4)


@pytest.mark.parametrize("status", [400, 404, 409, 413])
def test_a_4xx_is_not_repeated_until_the_next_trigger(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, status: int
) -> None:
    config.define("a")
    dictator.will_answer(status)
    observer = start_observer()
    observer.says("a receiver refused it")
    time.sleep(0.5)  # ten times the pause: what must not come would have come
    assert (len(dictator.puts), len(dnsd.puts)) == (1, 0)
    config.trigger()
    dnsd.got(1)
    assert len(dictator.puts) == 2


def test_works_through_whichever_etcd_member_answers(
    etcd: EtcdServer, config: Config, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    start_observer(ETCD_MACHINES="", ETCD_PEERS=f"http://127.0.0.1:{free_port()} {etcd.url}")
    dnsd.got(1)
    config.trigger()
    dnsd.got(2)
