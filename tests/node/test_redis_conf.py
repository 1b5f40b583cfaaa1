"""The node's redis.conf has the intended effects, with redis and with valkey."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from sandbox.process import ROOT, wait_until
from sandbox.redis import RedisServer

CONF = ROOT / "node" / "redis.conf"
MEGABYTE = 1 << 20


class Node:
    """Servers that start with the node's redis.conf, as in a container whose config volume is empty."""

    def __init__(self, directory: Path, flavour: str) -> None:
        self._directory = directory
        self._flavour = flavour
        self.started: list[RedisServer] = []

    def start(self, name: str) -> RedisServer:
        directory = self._directory / name
        directory.mkdir()
        # the only path in it that exists in the container only
        text = CONF.read_text().replace("\ndir /data\n", f"\ndir {directory}/data\n")
        assert str(directory) in text
        (directory / "redis.conf").write_text(text)
        server = RedisServer(directory, flavour=self._flavour)
        self.started.append(server)
        server.start()
        return server


@pytest.fixture(params=["redis-7.0", "valkey-8.0"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path, request.param)
    yield node
    for server in node.started:
        server.kill()


def info(server: RedisServer, section: str) -> dict[str, object]:
    with server.client() as client:
        fields: dict[str, object] = client.info(section)
        return fields


def make_slave(slave: RedisServer, master: RedisServer) -> None:
    with slave.client() as client:
        client.replicaof(master.host, master.port)
    wait_until(lambda: info(slave, "replication").get("master_link_status") == "up", "the slave's link is up")


def test_starts_as_an_empty_master_that_persists_its_data(node: Node) -> None:
    server = node.start("master")
    assert info(server, "replication")["role"] == "master"
    persistence = info(server, "persistence")
    assert persistence["aof_enabled"] == 1
    with server.client() as client:
        assert client.config_get("protected-mode") == {"protected-mode": "no"}
        assert client.config_get("bind") == {"bind": "* -::*"}
        assert client.config_get("repl-diskless-sync-delay") == {"repl-diskless-sync-delay": "0"}
        assert client.config_get("save")["save"]


def test_keeps_its_role_after_config_rewrite_and_a_kill(node: Node) -> None:
    master, slave = node.start("master"), node.start("slave")
    with master.client() as client:
        client.set("written", "before")
    make_slave(slave, master)
    with slave.client() as client:
        client.config_rewrite()
    for server in (slave, master):
        server.kill()
        server.start()
    assert info(slave, "replication")["role"] == "slave"
    assert info(slave, "replication")["master_port"] == master.port
    with master.client() as client:
        assert client.get("written") == "before"
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_a_slave_that_missed_a_lot_needs_no_full_resync(node: Node) -> None:
    master, slave = node.start("master"), node.start("slave")
    make_slave(slave, master)
    assert info(master, "stats")["sync_full"] == 1
    slave.pause()
    with master.client(socket_timeout=10) as client:
        client.client_kill_filter(_type="replica")
        for number in range(100):
            client.set(f"value:{number % 10}", "x" * MEGABYTE)
    slave.resume()
    wait_until(
        lambda: (
            info(slave, "replication").get("slave_repl_offset") == info(master, "replication")["master_repl_offset"]
        ),
        "the slave has caught up",
        timeout=30,
    )
    stats = info(master, "stats")
    assert (stats["sync_full"], stats["sync_partial_ok"]) == (1, 1)


def test_sigterm_under_load_loses_nothing(node: Node) -> None:
    server = node.start("master")
    acknowledged: list[list[str]] = [[] for _ in range(4)]

    def write(number: int, mine: list[str]) -> None:
        with server.client() as client:
            while True:
                value = f"{number}:{len(mine)}"
                try:
                    client.rpush(f"written:{number}", value)
                except redis.RedisError:
                    return
                mine.append(value)

    writers = [threading.Thread(target=write, args=(n, mine)) for n, mine in enumerate(acknowledged)]
    for writer in writers:
        writer.start()
    wait_until(lambda: all(len(mine) > 500 for mine in acknowledged), "every writer has written", timeout=30)
    server.stop()
    for writer in writers:
        writer.join(10)
    assert server.process.returncode == 0
    server.start()
    with server.client(socket_timeout=10) as client:
        for number, mine in enumerate(acknowledged):
            # there may be one more: written, but cut off before the answer
            assert client.lrange(f"written:{number}", 0, len(mine) - 1) == mine


def test_stops_within_dockers_timeout_although_a_slave_hangs(node: Node) -> None:
    master, slave = node.start("master"), node.start("slave")
    make_slave(slave, master)
    slave.pause()
    with master.client() as client:
        client.set("written", "while the slave hung")
    master.stop(timeout=9)
    assert master.process.returncode == 0
    master.start()
    with master.client() as client:
        assert client.get("written") == "while the slave hung"
    slave.resume()
