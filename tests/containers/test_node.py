"""The node's container: what it starts, what it refuses, and what outlives it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.process import wait_until
from tests.containers.cluster import Cluster
from tests.containers.engine import DockerError, docker, inspect

pytestmark = pytest.mark.timeout(600)

IMAGE = "safe-redis/node:test"
Start = Callable[..., str]


@pytest.fixture
def start(images: None) -> Iterator[Start]:
    """Starts a node in a container of the given name, and waits until it answers."""
    names: list[str] = []

    def start(name: str, *options: str, server: tuple[str, ...] = ()) -> str:
        full = f"safe-redis-containers-node-{name}"
        names.append(full)
        docker("run", "--detach", "--name", full, "--read-only", "--tmpfs", "/tmp", *options, IMAGE, *server)  # noqa: S108
        wait_until(lambda: answers(full), f"{full} answers")
        return full

    yield start
    for name in names:
        docker("rm", "--force", "--volumes", name)


def answers(name: str) -> bool:
    try:
        return docker("exec", name, "redis-cli", "ping") == "PONG"
    except DockerError:
        return False


def redis(name: str, *words: str) -> str:
    return docker("exec", name, "redis-cli", *words)


@pytest.fixture
def volume(images: None) -> Iterator[Callable[[str], str]]:
    """Data volume containers, as the units make them: a volume that belongs to a container which has ended."""
    names: list[str] = []

    def volume(name: str, directory: str) -> str:
        full = f"safe-redis-containers-volume-{name}"
        names.append(full)
        docker("run", "--name", full, "--volume", directory, IMAGE, "prepare-volumes", f"{directory}:700:999:999")
        return full

    yield lambda directory: volume(directory.strip("/").replace("/", "-"), directory)
    for name in names:
        docker("rm", "--force", "--volumes", name)


def test_starts_as_an_empty_master(start: Start) -> None:
    name = start("fresh")
    assert "role:master" in redis(name, "info", "replication")
    assert redis(name, "dbsize") == "0"
    assert redis(name, "config", "get", "appendonly").split() == ["appendonly", "yes"]


def test_can_be_reached_from_outside_of_its_container(start: Start) -> None:
    name = start("reached")
    address = inspect(name)["NetworkSettings"]["IPAddress"]
    said = docker("run", "--rm", IMAGE, "redis-cli", "-h", address, "set", "written", "from outside")
    assert said == "OK"


def test_options_go_to_the_server(start: Start) -> None:
    name = start("options", server=("--maxmemory", "64mb"))
    assert redis(name, "config", "get", "maxmemory").split()[1] == str(64 << 20)


def test_a_command_runs_instead_of_the_server(images: None) -> None:
    assert docker("run", "--rm", IMAGE, "id", "-u") == "999"


def test_role_and_data_outlive_the_container_in_data_volume_containers(
    start: Start, volume: Callable[[str], str]
) -> None:
    volumes = ["--volumes-from", volume("/etc/redis"), "--volumes-from", volume("/data")]
    name = start("first", *volumes)
    redis(name, "set", "written", "before")
    redis(name, "config", "set", "maxmemory", "64mb")
    redis(name, "replicaof", "127.0.0.1", "1")
    assert redis(name, "config", "rewrite") == "OK"
    docker("rm", "--force", name)
    name = start("second", *volumes)
    assert "role:slave" in redis(name, "info", "replication")
    assert redis(name, "get", "written") == "before"
    assert redis(name, "config", "get", "maxmemory").split()[1] == str(64 << 20)


def test_an_empty_directory_of_the_host_gets_the_default_configuration(start: Start, tmp_path: Path) -> None:
    directories = [tmp_path / "config", tmp_path / "data"]
    mounts = []
    for directory, inside in zip(directories, ("/etc/redis", "/data"), strict=True):
        directory.mkdir()
        mounts += ["--volume", f"{directory}:{inside}"]
    prepare = ["prepare-volumes", "/etc/redis:700:999:999", "/data:700:999:999"]
    docker("run", "--rm", "--user", "0", *mounts, IMAGE, *prepare)
    name = start("mounted", *mounts)
    assert redis(name, "config", "rewrite") == "OK"
    assert docker("exec", name, "ls", "/etc/redis") == "redis.conf"


def test_refuses_to_start_where_its_role_could_not_be_kept(images: None, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(DockerError, match="/etc/redis is not writable for uid 999"):
        docker("run", "--rm", "--volume", f"{tmp_path}:/etc/redis", IMAGE)


def test_is_healthy_also_when_it_wants_a_password(start: Start) -> None:
    name = start("locked")
    redis(name, "config", "set", "requirepass", "secret")
    assert not answers(name)
    assert docker("exec", name, "node-health") == ""


def test_is_not_healthy_without_a_server(images: None) -> None:
    with pytest.raises(DockerError, match="Could not connect"):
        docker("run", "--rm", IMAGE, "node-health")


def test_docker_stop_under_load_loses_nothing(cluster: Cluster) -> None:
    with cluster.counter("stop") as counter:
        docker("stop", cluster.container("core-01"))
        assert inspect(cluster.container("core-01"))["State"]["ExitCode"] == 0
        assert counter.running
        cluster.start("core-01")
        counted = counter.wait()
    assert counted.lossless, counted.output
    assert counted.status == 0
    cluster.wait_converged("core-01")


def test_docker_stop_ends_a_slave_that_writes_its_first_append_only_file(start: Start) -> None:
    """Redis refuses SIGTERM then and forgets it; the node goes on asking."""
    master = start("stop-master")
    redis(master, "eval", "for i = 1, 200 do redis.call('SET', i, i) end", "0")
    slave = start("stop-slave", server=("--rdb-key-save-delay", "10000"))
    redis(slave, "replicaof", inspect(master)["NetworkSettings"]["IPAddress"], "6379")
    wait_until(lambda: "aof_rewrite_in_progress:1" in redis(slave, "info", "persistence"), "it writes the file", 30)
    docker("stop", "--time", "50", slave)
    assert inspect(slave)["State"]["ExitCode"] == 0
    assert "can't exit" in docker("logs", slave), "it was asked while it could not end"


def test_prepare_volumes_stays_running_until_it_is_stopped(images: None) -> None:
    name = "safe-redis-containers-node-stay"
    docker("run", "--detach", "--name", name, "--no-healthcheck", IMAGE, "prepare-volumes", "-r", "/data:700:999:999")
    try:
        wait_until(lambda: "sleep" in docker("top", name), "it waits")
        docker("stop", name)
        assert inspect(name)["State"]["ExitCode"] == 0
    finally:
        with contextlib.suppress(DockerError):
            docker("rm", "--force", "--volumes", name)
