"""No trigger is lost, whatever happens to etcd or to the way there."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.etcd import EtcdServer
from sandbox.proxy import Proxy
from tests.observer.conftest import Config, Receiver, StartObserver

# etcd keeps the last 1000 events of all keys
MANY = 1100


@pytest.fixture
def way(etcd: EtcdServer) -> Iterator[Proxy]:
    """The observer's way to etcd."""
    proxy = Proxy(etcd.port)
    yield proxy
    proxy.cut()


def elsewhere(etcd: EtcdServer, count: int) -> None:
    """Events of other keys, as TTL refreshes are."""
    for number in range(count):
        etcd.keys.put("/skydns/docker/other", str(number), ttl=60)


def test_resyncs_when_etcd_has_forgotten_the_trigger_that_it_missed(
    etcd: EtcdServer, way: Proxy, config: Config, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    observer = start_observer(ETCD_MACHINES=f"http://127.0.0.1:{way.port}")
    dnsd.got(1)
    way.cut()
    config.define("b")
    config.trigger()
    elsewhere(etcd, MANY)
    way.heal()
    assert dnsd.got(2, timeout=20)[1].name == "b"
    observer.says("has changed meanwhile")
    config.trigger("after")
    dnsd.got(3)
    observer.says("ended the run for 'after'")
    assert len(dnsd.puts) == 3


def test_a_force_that_etcd_has_forgotten_is_passed_on(
    etcd: EtcdServer, way: Proxy, config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    start_observer(ETCD_MACHINES=f"http://127.0.0.1:{way.port}")
    dnsd.got(1)
    way.cut()
    config.trigger("force")
    elsewhere(etcd, MANY)
    way.heal()
    dnsd.got(2, timeout=20)
    assert dictator.puts[1].target == "/master?force=1"


def test_events_of_other_keys_are_no_triggers_however_many_they_are(
    etcd: EtcdServer, way: Proxy, config: Config, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    config.trigger("before")
    observer = start_observer(ETCD_MACHINES=f"http://127.0.0.1:{way.port}")
    dnsd.got(1)
    way.cut()
    elsewhere(etcd, MANY)
    observer.says("failed to watch")
    way.heal()
    config.trigger("after")
    dnsd.got(2, timeout=20)
    observer.says("ended the run for 'after'")
    assert len(dnsd.puts) == 2


def test_every_missed_event_that_etcd_remembers_is_handed_out(
    etcd: EtcdServer, way: Proxy, config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    observer = start_observer(ETCD_MACHINES=f"http://127.0.0.1:{way.port}")
    dnsd.got(1)
    way.cut()
    config.trigger("force")
    elsewhere(etcd, 10)
    config.trigger("last")
    way.heal()
    observer.says("saw trigger 'last'")
    assert observer.count("saw trigger 'force'") == 1
    observer.says("ended the run for 'last'")
    assert [put.target for put in dictator.puts].count("/master?force=1") == 1


def test_a_trigger_is_seen_after_the_observer_was_stalled(
    etcd: EtcdServer, config: Config, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    observer = start_observer()
    dnsd.got(1)
    observer.pause()
    config.define("b")
    config.trigger()
    elsewhere(etcd, MANY)
    observer.resume()
    assert dnsd.got(2, timeout=20)[1].name == "b"


def test_waits_for_an_etcd_that_is_down_at_the_start(
    etcd: EtcdServer, config: Config, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    etcd.stop()
    observer = start_observer(wait=False)
    observer.says("failed to watch", 2)
    assert observer.running
    etcd.start()
    assert dnsd.got(1)[0].name == "a"


def test_goes_on_after_a_restart_of_etcd(
    etcd: EtcdServer, config: Config, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    observer = start_observer()
    dnsd.got(1)
    etcd.kill()
    observer.says("failed to watch")
    etcd.start()
    config.define("b")
    config.trigger()
    assert dnsd.got(2)[-1].name == "b"


def test_goes_on_with_an_etcd_that_has_lost_everything_and_forces_nothing(
    etcd: EtcdServer, config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, tmp_path: Path
) -> None:
    config.define("a")
    elsewhere(etcd, 50)
    observer = start_observer()
    dnsd.got(1)
    etcd.stop()
    shutil.rmtree(tmp_path / "etcd" / "data")
    observer.says("failed to watch")
    etcd.start()
    observer.says("its history began anew")
    config.define("b")
    config.trigger()
    assert dnsd.got(2)[-1].name == "b"
    assert {put.target for put in dictator.puts} == {"/master"}


def test_a_run_whose_topology_cannot_be_read_is_repeated(
    etcd: EtcdServer, config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    dictator.go_on.clear()
    observer = start_observer()
    dictator.got(1)
    config.trigger("core-02")
    observer.says("saw trigger")
    etcd.stop()
    dictator.go_on.set()
    observer.says("failed: StoreError")
    etcd.start()
    dnsd.got(2)
