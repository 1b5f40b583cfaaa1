"""The redis servers of the sandbox: what survives a restart, and that they don't outlive their parent."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import binaries
from sandbox.process import ROOT, Process, ProcessError, wait_until
from sandbox.redis import RedisServer
from tests.conftest import StartRedis


@pytest.mark.parametrize("flavour", binaries.FLAVOURS)
def test_restart_under_another_port_keeps_data_and_rewritten_config(start_redis: StartRedis, flavour: str) -> None:
    server = start_redis(flavour=flavour, config={"appendonly": "yes"})
    client = server.client()
    client.set("key", "value")
    client.replicaof("127.0.0.1", "1")
    client.config_rewrite()
    first = server.address

    server.restart(port=RedisServer(server.directory).port)

    assert server.address != first
    assert server.client().get("key") == "value"
    assert server.client().info("replication")["master_port"] == 1
    with pytest.raises(ConnectionError):
        _connect(first)


def test_keeps_nothing_on_disk_by_default(start_redis: StartRedis) -> None:
    server = start_redis()
    server.client().set("key", "value")
    server.restart()
    assert server.client().dbsize() == 0


def test_wipe_loses_the_data_and_keeps_the_config(start_redis: StartRedis) -> None:
    server = start_redis(config={"appendonly": "yes"})
    server.client().set("key", "value")
    server.client().config_set("maxmemory", 123456789)
    server.client().config_rewrite()
    server.stop()
    server.wipe()
    server.start()
    assert server.client().dbsize() == 0
    assert server.client().config_get("maxmemory") == {"maxmemory": "123456789"}


@pytest.mark.parametrize("flavour", ["redis-6.2", "redis-7.0"])
def test_stops_cleanly_while_it_writes_its_first_append_only_file(start_redis: StartRedis, flavour: str) -> None:
    """Redis ignores SIGTERM at that time, so that a single one would not be enough."""
    master = start_redis("master", flavour=flavour)
    master.client().mset({f"key:{number}": "value" for number in range(200)})
    slow = {"appendonly": "yes", "rdb-key-save-delay": "10000"}
    slave = start_redis("slave", flavour=flavour, config=slow)
    slave.client().replicaof(master.host, master.port)
    wait_until(lambda: slave.client().info("persistence")["aof_rewrite_in_progress"] == 1, "it writes the file", 30)
    slave.stop()
    assert "can't exit" in slave.process.log.read_text(), "it was asked while it could not end"
    assert slave.process.returncode == 0
    master.kill()
    slave.start()
    assert slave.client().dbsize() == 200


def test_listens_on_ipv6(start_redis: StartRedis) -> None:
    server = start_redis(host="::1")
    assert server.address == f"[::1]:{server.port}"
    assert server.client().ping()


def test_a_paused_server_accepts_and_says_nothing(start_redis: StartRedis) -> None:
    server = start_redis()
    server.pause()
    assert not server.answers()
    assert server.running
    server.resume()
    wait_until(server.answers, "redis answers again")


def test_a_server_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, config={"appendonly": "perhaps"})
    with pytest.raises(ProcessError, match="argument must be 'yes' or 'no'"):
        server.start()


def test_an_unknown_flavour_names_the_known_ones() -> None:
    with pytest.raises(binaries.MissingBinaryError, match=r"redis-2\.8 .*redis-6\.2, redis-7\.0"):
        binaries.redis_server("redis-2.8")


def test_a_server_dies_with_a_parent_that_gets_sigkill(tmp_path: Path) -> None:
    program = (
        "import sys, threading; from pathlib import Path; from sandbox.redis import RedisServer\n"
        "server = RedisServer(Path(sys.argv[1]))\n"
        # Started from a thread that ends before the parent does.
        "starter = threading.Thread(target=server.start); starter.start(); starter.join()\n"
        "print(server.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert _lives(pid)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not _lives(pid), "redis has died with its parent")


def test_a_process_that_ignores_sigterm_is_killed_and_reported(tmp_path: Path) -> None:
    program = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf'); signal.pause()"
    process = Process([sys.executable, "-uc", program], log=tmp_path / "log")
    process.start()
    process.wait_until(lambda: "deaf" in process.log.read_text(), "it ignores SIGTERM")
    with pytest.raises(ProcessError, match="ignored SIGTERM"):
        process.stop(timeout=0.1)
    assert not process.running


def test_the_callers_environment_configures_no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMESERVERS", "192.0.2.1")
    process = Process(["env"], log=tmp_path / "log", env={"PORT": "1"})
    process.start()
    wait_until(lambda: not process.running, "env has ended")
    assert "NAMESERVERS" not in process.log.read_text()
    assert "PORT=1\n" in process.log.read_text()


def _connect(address: str) -> None:
    host, port = address.rsplit(":", 1)
    socket.create_connection((host, int(port)), timeout=1).close()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Without an init that reaps orphans, a killed process remains as a zombie.
    return "Z (zombie)" not in Path(f"/proc/{pid}/status").read_text()
