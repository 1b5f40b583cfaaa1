"""Receivers without a port are looked up as SRV, anew for each run."""

import json
import socket
from collections.abc import Iterator

import pytest

from sandbox.etcd import EtcdServer
from sandbox.process import free_port
from sandbox.skydns import SkyDns
from tests.observer.conftest import Config, Receiver, StartObserver

NAMES = "http://redis-1-dictator.docker/master,http://redis-1-dnsd.docker/dns"


def register(etcd: EtcdServer, service: str, receiver: Receiver, label: str = "core-01") -> None:
    key = f"/skydns/docker/{service}/{label}:{service}:8080"
    etcd.keys.put(key, json.dumps({"host": "127.0.0.1", "port": receiver.port}))


def test_finds_receivers_by_srv(
    etcd: EtcdServer,
    skydns: SkyDns,
    config: Config,
    dictator: Receiver,
    dnsd: Receiver,
    start_observer: StartObserver,
) -> None:
    register(etcd, "redis-1-dictator", dictator)
    register(etcd, "redis-1-dnsd", dnsd)
    config.define("a")
    start_observer(NOTIFIES=NAMES, DNS="127.0.0.1", DNS_PORT=str(skydns.port))
    assert dnsd.got(1)[0].target == "/dns"
    assert dictator.puts[0].target == "/master"


def test_finds_a_receiver_that_has_moved(
    etcd: EtcdServer,
    skydns: SkyDns,
    config: Config,
    dictator: Receiver,
    dnsd: Receiver,
    start_observer: StartObserver,
) -> None:
    name = "http://redis-1-dictator.docker/master"
    register(etcd, "redis-1-dictator", dictator)
    config.define("a")
    start_observer(NOTIFIES=name, DNS="127.0.0.1", DNS_PORT=str(skydns.port))
    dictator.got(1)
    register(etcd, "redis-1-dictator", dnsd)
    config.trigger()
    dnsd.got(1)


def test_a_receiver_that_is_not_registered_yet_is_notified_when_it_is(
    etcd: EtcdServer,
    skydns: SkyDns,
    config: Config,
    dictator: Receiver,
    dnsd: Receiver,
    start_observer: StartObserver,
) -> None:
    config.define("a")
    register(etcd, "redis-1-dictator", dictator)
    observer = start_observer(NOTIFIES=NAMES, DNS="127.0.0.1", DNS_PORT=str(skydns.port))
    observer.says("redis-1-dnsd.docker has no SRV record (NXDOMAIN)", 2)
    assert len(dictator.puts) >= 2
    register(etcd, "redis-1-dnsd", dnsd)
    dnsd.got(1)


def test_a_name_server_that_is_down_for_a_while_is_no_end(
    etcd: EtcdServer,
    skydns: SkyDns,
    config: Config,
    dictator: Receiver,
    dnsd: Receiver,
    start_observer: StartObserver,
) -> None:
    register(etcd, "redis-1-dictator", dictator)
    register(etcd, "redis-1-dnsd", dnsd)
    config.define("a")
    skydns.stop()
    observer = start_observer(NOTIFIES=NAMES, DNS="127.0.0.1", DNS_PORT=str(skydns.port), RESOLVE_TIMEOUT="0.3")
    observer.says("no answer from 127.0.0.1 port", 2)
    skydns.start()
    dnsd.got(1)


def test_a_force_is_kept_until_the_receiver_can_be_found(
    etcd: EtcdServer,
    skydns: SkyDns,
    config: Config,
    dictator: Receiver,
    start_observer: StartObserver,
) -> None:
    observer = start_observer(
        NOTIFIES="http://redis-1-dictator.docker/master", DNS="127.0.0.1", DNS_PORT=str(skydns.port)
    )
    config.define("a")
    config.trigger("force")
    observer.says("NXDOMAIN", 2)
    register(etcd, "redis-1-dictator", dictator)
    assert dictator.got(1)[0].target == "/master?force=1"


def test_a_name_with_a_port_is_used_as_it_is(config: Config, dictator: Receiver, start_observer: StartObserver) -> None:
    config.define("a")
    start_observer(NOTIFIES=f"http://localhost:{dictator.port}/master")
    dictator.got(1)


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port that doesn't take connections and doesn't refuse them either, as those of a host that is gone."""
    with socket.socket() as listener, socket.socket() as first:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        first.connect(listener.getsockname())
        yield listener.getsockname()[1]


def register_port(etcd: EtcdServer, port: int, label: str) -> None:
    etcd.keys.put(f"/skydns/docker/redis-1-dictator/{label}", json.dumps({"host": "127.0.0.1", "port": port}))


@pytest.mark.parametrize("gone", ["refuses", "deaf"])
def test_a_record_of_a_host_that_is_gone_does_not_hold_the_topology_up(
    etcd: EtcdServer,
    skydns: SkyDns,
    config: Config,
    dictator: Receiver,
    start_observer: StartObserver,
    deaf: int,
    gone: str,
) -> None:
    for label in ("core-01", "core-03"):
        register_port(etcd, deaf if gone == "deaf" else free_port(), label)
    register_port(etcd, dictator.port, "core-02")
    config.define("a")
    observer = start_observer(
        NOTIFIES="http://redis-1-dictator.docker/master",
        DNS="127.0.0.1",
        DNS_PORT=str(skydns.port),
        RETRY_FIRST="3600",
        RETRY_MAX="3600",
        CONNECT_TIMEOUT="0.5",
    )
    dictator.got(1)
    for number in (2, 3):
        config.trigger()
        dictator.got(number)
    observer.says("every receiver answered 200", 3)
    assert len(dictator.puts) == 3


def test_asks_the_other_of_two_when_one_goes_on_failing(
    etcd: EtcdServer,
    skydns: SkyDns,
    config: Config,
    dictator: Receiver,
    dnsd: Receiver,
    start_observer: StartObserver,
) -> None:
    dictator.will_answer(*[503] * 50)
    dnsd.will_answer(*[503] * 3)
    register_port(etcd, dictator.port, "core-01")
    register_port(etcd, dnsd.port, "core-02")
    config.define("a")
    observer = start_observer(
        NOTIFIES="http://redis-1-dictator.docker/master", DNS="127.0.0.1", DNS_PORT=str(skydns.port)
    )
    observer.says("every receiver answered 200")
    assert abs(len(dictator.puts) - len(dnsd.puts)) <= 1
    config.trigger()
    before = len(dictator.puts)
    dnsd.got(len(dnsd.puts) + 1)
    assert len(dictator.puts) == before, "the one that works is asked first"
