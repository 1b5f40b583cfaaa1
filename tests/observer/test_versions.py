"""Each PUT says which document it carries, so that a receiver can refuse it when it comes late."""

import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sandbox.etcd import EtcdServer
from tests.observer.conftest import TOPOLOGY, Config, Receiver, Reply, StartObserver

MIB = 1 << 20


@pytest.fixture
def slow() -> Iterator[socket.socket]:
    """A listener whose connections hold little of what isn't read."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(20)
        yield listener


def drain(connection: socket.socket) -> None:
    """Read what comes until it ends."""
    while connection.recv(MIB):
        pass


def test_sends_the_documents_index_to_each_receiver(
    etcd: EtcdServer, config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    start_observer()
    dnsd.got(1)
    config.trigger()
    dnsd.got(2)
    config.define("b")
    config.trigger()
    dnsd.got(3)
    clusters = {put.version[0] for put in (*dictator.puts, *dnsd.puts)}
    assert len(clusters) == 1
    indexes = [put.version[1] for put in dictator.puts]
    assert indexes[0] == indexes[1] < indexes[2]
    document = etcd.keys.node(TOPOLOGY)
    assert document is not None
    assert indexes[2] == document["modifiedIndex"]


def test_an_etcd_that_was_emptied_has_another_name(
    etcd: EtcdServer, config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, tmp_path: Path
) -> None:
    config.define("a")
    start_observer()
    dnsd.got(1)
    etcd.stop()
    shutil.rmtree(tmp_path / "etcd" / "data")
    etcd.start()
    config.define("b")
    config.trigger()
    assert dnsd.got(2, timeout=20)[-1].name == "b"
    assert dictator.puts[0].version[0] != dictator.puts[-1].version[0]


def test_reads_the_topology_anew_when_a_receiver_has_a_newer_one(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    dictator.will_reply(Reply(409, "Outdated: there is a newer one"))
    start_observer()
    dnsd.got(1)
    assert len(dictator.puts) == 2
    assert dictator.puts[0].version == dictator.puts[1].version


def test_an_etcd_that_was_set_back_gets_another_name(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    observer = start_observer()
    cluster, index = dnsd.got(1)[0].version
    ahead = {"Topology-Cluster": cluster, "Topology-Index": str(index + 1000)}
    dictator.will_reply(Reply(409, "Outdated: index 1000 was applied", ahead))
    config.trigger()
    dnsd.got(2)
    observer.says("found etcd set back from index")
    assert dictator.puts[-1].version == dnsd.puts[-1].version
    assert dnsd.puts[-1].version[0] != cluster


def test_an_etcd_that_was_not_set_back_keeps_its_name(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    config.define("a")
    start_observer()
    cluster, index = dnsd.got(1)[0].version
    newest = {"Topology-Cluster": cluster, "Topology-Index": str(index + 1)}
    dictator.will_reply(Reply(409, "Outdated: another observer has applied a newer one", newest))
    config.trigger()
    dnsd.got(2)
    assert dnsd.puts[-1].version[0] == cluster


def test_the_kernel_does_not_deliver_what_a_killed_observer_had_on_its_way(
    etcd: EtcdServer, config: Config, slow: socket.socket, start_observer: StartObserver
) -> None:
    etcd.keys.put(TOPOLOGY, config.define("a").ljust(MIB // 2))
    observer = start_observer(NOTIFIES=f"http://127.0.0.1:{slow.getsockname()[1]}/master")
    connection, _ = slow.accept()
    with closing(connection):
        connection.settimeout(20)
        assert connection.recv(100)
        observer.kill()
        with pytest.raises(ConnectionResetError):
            drain(connection)


def test_the_kernel_does_not_deliver_what_an_observer_gave_up(
    etcd: EtcdServer, config: Config, slow: socket.socket, start_observer: StartObserver
) -> None:
    etcd.keys.put(TOPOLOGY, config.define("a").ljust(MIB // 2))
    observer = start_observer(NOTIFIES=f"http://127.0.0.1:{slow.getsockname()[1]}/master", NOTIFY_TIMEOUT="0.3")
    connection, _ = slow.accept()
    with closing(connection):
        connection.settimeout(20)
        observer.says("gave no answer within")
        with pytest.raises(ConnectionResetError):
            drain(connection)


@pytest.mark.parametrize("value", ["by hand\n", "é", "\0", "", 40 * "€"])
def test_an_epoch_that_somebody_wrote_by_hand_is_one(
    etcd: EtcdServer, config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, value: str
) -> None:
    config.define("a")
    etcd.keys.put("/config/redis-1/epoch", value)
    start_observer()
    dnsd.got(1)
    assert re.fullmatch(r"[!-~]+", dictator.puts[0].version[0])
