"""The topology is applied again once in a while, so that what drifted heals; the log stays quiet."""

import time

from sandbox.etcd import EtcdServer
from tests.observer.conftest import Config, Receiver, Reply, StartObserver

CHAINED = "/config/redis-1/chained-trigger"
QUICK = {"RESYNC_INTERVAL": "0.1", "LOG_LEVEL": "INFO"}


def test_applies_the_topology_again_and_again_without_a_word(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    observer = start_observer(**QUICK)
    dnsd.got(5)
    assert {put.name for put in dnsd.puts} == {"a"}
    assert observer.count("ended the run") == 1
    assert observer.count("notified") == 2
    assert observer.count("WARNING topology_observer:") == 0


def test_forces_nothing(config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver) -> None:
    config.define("a")
    start_observer(**QUICK)
    dnsd.got(1)
    config.trigger("force")
    dnsd.got(len(dnsd.puts) + 5)
    assert [put.target for put in dictator.puts].count("/master?force=1") == 1


def test_logs_what_has_changed(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    observer = start_observer(**QUICK)
    dnsd.got(2)
    dictator.will_reply(Reply(202, "OK; core-03 is down"))
    observer.says("202 OK; core-03 is down")
    observer.says("every receiver answered 200", 2)


def test_what_goes_on_is_logged_once(config: Config, dictator: Receiver, start_observer: StartObserver) -> None:
    config.define("a")
    for _ in range(6):
        dictator.will_reply(Reply(202, "OK; core-03 is down"))
    for _ in range(6):
        dictator.will_reply(Reply(409, "Refused: two instances hold data"))
    observer = start_observer(**QUICK)
    dictator.got(13)
    assert observer.count("core-03 is down") == 1
    assert observer.count("WARNING topology_observer: notified") == 1
    assert observer.count("409 Refused: two instances hold data") == 1


def test_a_refused_topology_is_tried_again(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    dictator.will_answer(409, 400)
    start_observer(**QUICK)
    dnsd.got(1)
    assert len(dictator.puts) >= 3


def test_a_topology_that_was_defined_since_waits_for_its_trigger(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    observer = start_observer(**QUICK)
    dnsd.got(2)
    config.define("b")
    observer.says("found a newer topology, which waits for its trigger")
    config.trigger()
    dnsd.got(len(dnsd.puts) + 2)
    names = [put.name for put in dnsd.puts]
    assert names == sorted(names)
    log = observer.log.read_text()
    assert log.index("saw trigger") < log.index("ended the run for 'operator'")


def test_a_chained_trigger_is_not_written_again(
    etcd: EtcdServer, config: Config, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    observer = start_observer(**QUICK, RETRIGGER=CHAINED)
    observer.says(f"to {CHAINED}")
    dnsd.got(len(dnsd.puts) + 3)
    assert observer.count(f"to {CHAINED}") == 1


def test_never_where_the_interval_is_0(config: Config, dnsd: Receiver, start_observer: StartObserver) -> None:
    config.define("a")
    observer = start_observer(RESYNC_INTERVAL="0")
    observer.says("ended the run")
    time.sleep(0.5)  # five times what the other tests wait for
    assert len(dnsd.puts) == 1
