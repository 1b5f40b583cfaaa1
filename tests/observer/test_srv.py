"""Receivers without a port are looked up as SRV, anew for each run."""

import json

from sandbox.etcd import EtcdServer
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
