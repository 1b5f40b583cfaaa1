"""redis-cli.sh: finds the master by SRV and hands over to redis-cli."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from sandbox.keys import Keys
from sandbox.process import free_port
from sandbox.redis import RedisServer
from sandbox.skydns import SkyDns
from tests.conftest import StartRedis
from tests.scripts.conftest import Run


@pytest.fixture
def redis(start_redis: StartRedis) -> RedisServer:
    return start_redis()


@pytest.fixture
def dns(skydns: SkyDns) -> Mapping[str, str]:
    return {"DNS_SERVER": skydns.host, "DNS_PORT": str(skydns.port)}


def publish(keys: Keys, host: str, port: int, cluster: str = "redis-1") -> None:
    keys.put(f"/skydns/docker/{cluster}/master", json.dumps({"host": host, "port": port}))


def test_runs_a_command_on_the_master(run: Run, keys: Keys, dns: Mapping[str, str], redis: RedisServer) -> None:
    publish(keys, redis.host, redis.port)
    assert run("redis-cli.sh", "SET", "a key", "a value", env=dns).stdout == "OK\n"
    assert redis.client().get("a key") == "a value"


def test_takes_commands_from_stdin(run: Run, keys: Keys, dns: Mapping[str, str], redis: RedisServer) -> None:
    publish(keys, redis.host, redis.port)
    result = run("redis-cli.sh", stdin="INCR n\nINCR n\n", env=dns)
    assert result.stdout.split() == ["1", "2"]


def test_looks_the_host_up_when_the_record_holds_a_name(
    run: Run, keys: Keys, dns: Mapping[str, str], redis: RedisServer
) -> None:
    publish(keys, "core-01.hosts.docker", redis.port)
    keys.put("/skydns/docker/hosts/core-01", json.dumps({"host": redis.host}))
    assert run("redis-cli.sh", "PING", env=dns).stdout == "PONG\n"


def test_another_cluster_has_its_own_name(run: Run, keys: Keys, dns: Mapping[str, str], redis: RedisServer) -> None:
    publish(keys, redis.host, redis.port, cluster="redis-2")
    assert run("redis-cli.sh", "PING", env={**dns, "CLUSTER": "redis-2"}).stdout == "PONG\n"


def test_says_so_when_no_master_is_published(run: Run, dns: Mapping[str, str]) -> None:
    result = run("redis-cli.sh", "PING", env=dns)
    assert result.returncode == 1
    assert "no SRV record for master.redis-1.docker" in result.stderr


def test_says_so_when_the_masters_host_has_no_address(run: Run, keys: Keys, dns: Mapping[str, str]) -> None:
    publish(keys, "core-01.hosts.docker", 6379)
    result = run("redis-cli.sh", "PING", env=dns)
    assert result.returncode == 1
    assert "no address for core-01.hosts.docker." in result.stderr


def test_says_so_when_the_name_server_is_down(run: Run) -> None:
    result = run("redis-cli.sh", "PING", env={"DNS_SERVER": "127.0.0.1", "DNS_PORT": str(free_port())})
    assert result.returncode == 1
    assert "no answer from 127.0.0.1" in result.stderr


def test_hands_on_redis_clis_own_failure(run: Run, keys: Keys, dns: Mapping[str, str]) -> None:
    publish(keys, "127.0.0.1", free_port())
    result = run("redis-cli.sh", "PING", env=dns)
    assert result.returncode == 1
    assert "refused" in result.stderr


def test_names_the_missing_tool(run: Run, tmp_path: Path) -> None:
    for tool in ("dash", "busybox", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    result = run("redis-cli.sh", "PING", env={"PATH": str(tmp_path)})
    assert result.returncode == 1
    assert "dig" in result.stderr
