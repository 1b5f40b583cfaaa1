"""The images hold what they must and nothing else, and their containers behave."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.process import ROOT, wait_until
from tests.containers.cluster import NODES, SERVICES, Cluster
from tests.containers.engine import DockerError, answers, command, docker, environment, inspect

pytestmark = pytest.mark.timeout(600)

FOLDERS = {
    "dictator": "dictator",
    "dnsd": "dnsd",
    "topology-observer": "topology_observer",
    "registrar": "registrar",
    "redis-counter": "redis_counter",
}
"""Of the images with Python: the folder of their own code."""
IMAGES = (*FOLDERS, "node")
DOCKERFILES = {
    **{image: ROOT / folder / "Dockerfile" for image, folder in FOLDERS.items()},
    "redis-counter": ROOT / "redis-counter" / "Dockerfile",
    "node": ROOT / "node" / "Dockerfile",
}


def run(image: str, *argv: str, options: tuple[str, ...] = ()) -> str:
    """What a command prints in a new container of an image."""
    program, *arguments = argv
    return docker("run", "--rm", *options, "--entrypoint", program, f"safe-redis/{image}:test", *arguments)


@pytest.mark.parametrize("image", FOLDERS)
def test_adds_less_than_90_mb_to_its_base(images: None, bases: dict[str, str], image: str) -> None:
    added = inspect(f"safe-redis/{image}:test")["Size"] - inspect(bases["PYTHON_BASE"])["Size"]
    assert 0 < added < 90_000_000, f"{image} adds {added / 1e6:.1f} MB"


@pytest.mark.parametrize("image", FOLDERS)
def test_has_its_own_code_and_the_shared_package_only(images: None, image: str) -> None:
    assert run(image, "ls", "/app").split() == sorted(["safe_redis", FOLDERS[image]])
    sources = run(image, "sh", "-c", f"cd /app/{FOLDERS[image]} && ls *.py").split()
    assert sources == sorted(path.name for path in (ROOT / FOLDERS[image]).glob("*.py"))


@pytest.mark.parametrize("image", FOLDERS)
def test_has_just_the_packages_of_its_lock_file(images: None, image: str) -> None:
    listing = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    # -I and the path: only what was installed for it, not what the base image has
    installed = json.loads(run(image, "/venv/bin/python3", "-Ic", listing))
    lines = (ROOT / "locks" / f"{image}.txt").read_text().splitlines()
    locked = dict(line.split(" ")[0].split("==") for line in lines if "==" in line)
    named = {name.lower().replace("_", "-"): version for name, version in installed.items()}
    assert named.items() <= locked.items()
    assert {"msgspec", "python-json-logger"} <= named.keys()
    assert "pip" not in named


@pytest.mark.parametrize("image", IMAGES)
def test_has_neither_compiler_nor_cache_nor_tests(images: None, image: str) -> None:
    script = """
        for program in cc gcc c++ make git curl; do ! command -v $program || exit 1; done
        unwanted="-path */.cache/pip -o -path /app/tests -o -path /app/*/test_* -o -name Dockerfile"
        set -f
        ! find / -xdev \\( $unwanted \\) | grep .
    """
    assert run(image, "sh", "-ec", script, options=("--user", "0")) == ""


@pytest.mark.parametrize("image", IMAGES)
def test_is_set_up_as_an_image_should_be(images: None, image: str) -> None:
    config = inspect(f"safe-redis/{image}:test")["Config"]
    user = config["User"].split(":")[0]
    assert user.isdigit(), "a number, so that an orchestrator can tell that it isn't root"
    assert int(user) > 0
    assert config["Entrypoint"][0] not in ("sh", "/bin/sh"), "not in the shell form, which swallows signals"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    labels = {name.rpartition(".")[2]: text for name, text in config["Labels"].items() if "opencontainers" in name}
    assert {"title", "description", "licenses", "version", "revision"} <= labels.keys()
    assert all(labels.values())


@pytest.mark.parametrize("image", IMAGES)
def test_needs_nothing_that_the_classic_builder_does_not_know(image: str) -> None:
    text = DOCKERFILES[image].read_text()
    assert not re.search(r"^# syntax=|--mount|--chmod|--link|--exclude|<<", text, re.MULTILINE)


@pytest.mark.parametrize(("folder", "base"), [("dictator", "PYTHON_BASE"), ("node", "REDIS_BASE")])
def test_is_built_by_the_classic_builder_and_says_as_what(
    images: None, bases: dict[str, str], folder: str, base: str
) -> None:
    tag = f"safe-redis/{folder}:classic"
    arguments = [f"BASE={bases[base]}", "VERSION=1.2.3", "REVISION=abc"]
    options = [word for argument in arguments for word in ("--build-arg", argument)]
    argv = ["docker", "build", "-q", "-f", f"{folder}/Dockerfile", *options, "-t", tag, "."]
    command(argv, env=environment(DOCKER_BUILDKIT="0"), timeout=300)
    try:
        labels = inspect(tag)["Config"]["Labels"]
        assert labels["org.opencontainers.image.version"] == "1.2.3"
        assert labels["org.opencontainers.image.revision"] == "abc"
    finally:
        docker("rmi", tag)


def test_runs_with_a_read_only_file_system_and_without_capabilities(cluster: Cluster) -> None:
    for service in (*NODES, *SERVICES):
        host = inspect(cluster.container(service))["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert list(host["Tmpfs"]) == ["/tmp"]  # noqa: S108 - the container's own


def test_publishes_nothing_on_the_host(cluster: Cluster) -> None:
    for container in cluster.containers():
        assert not container["HostConfig"]["PortBindings"], container["Name"]


def test_everything_becomes_healthy(cluster: Cluster) -> None:
    checked = (*NODES, *SERVICES)
    wait_until(lambda: all(health(cluster, service) == "healthy" for service in checked), "all are healthy", timeout=40)


def health(cluster: Cluster, service: str) -> str:
    status: str = inspect(cluster.container(service))["State"]["Health"]["Status"]
    return status


def signalled(pid: int, number: signal.Signals) -> bool:
    """Sends the signal; False where the process has ended, as the image's own health check does all the time."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def stalled(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A service whose processes are all stopped: it lives, and does nothing."""
    service: str = request.param
    pids = [int(line) for line in docker("top", cluster.container(service), "-eo", "pid").splitlines()[1:]]
    stopped = [pid for pid in pids if signalled(pid, signal.SIGSTOP)]
    assert stopped, f"none of {pids} runs any more"
    yield service
    for pid in stopped:
        signalled(pid, signal.SIGCONT)  # Docker may have killed a health check that took too long


@pytest.mark.parametrize("stalled", ["core-02", "dictator", "dnsd"], indirect=True)
def test_its_health_check_sees_that_it_hangs(cluster: Cluster, stalled: str) -> None:
    check = inspect(cluster.container(stalled))["Config"]["Healthcheck"]["Test"][1:]
    with pytest.raises((DockerError, subprocess.TimeoutExpired)):
        docker("exec", cluster.container(stalled), *check, timeout=5)


@pytest.mark.parametrize("service", [*SERVICES, "core-03"])
def test_ends_by_itself_when_it_is_told_to(cluster: Cluster, service: str) -> None:
    docker("stop", "--time", "40", cluster.container(service), timeout=60)
    status = inspect(cluster.container(service))["State"]["ExitCode"]
    cluster.start(service)
    cluster.wait_converged("core-01")
    assert status in (0, 128 + 15), "killed" if status == 137 else ""


def test_the_counter_ends_by_itself_while_it_looks_for_a_master(images: None) -> None:
    name = "safe-redis-containers-lonely"
    settings = ["-e", "NAMESERVERS=127.0.0.1", "-e", "COUNTER_CLEAR=1"]
    docker("run", "--detach", "--name", name, *settings, "safe-redis/redis-counter:test")
    try:
        wait_until(lambda: handles_sigterm(inspect(name)["State"]["Pid"]), "it runs")
        docker("stop", "--time", "20", name)
        assert inspect(name)["State"]["ExitCode"] == 128 + 15
    finally:
        docker("rm", "--force", name)


def handles_sigterm(pid: int) -> bool:
    """Whether Python has come so far; before, it is deaf to it, being a container's first process."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = re.search(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)
    # what the engine runs before it is the container's program catches every signal
    return "Name:\tpython" in status and bool(caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_the_counters_health_check_wants_a_master(cluster: Cluster) -> None:
    check = ["/venv/bin/python3", "-m", "redis_counter.health"]
    network = ["--network", f"{cluster.project}_default", "-e", "NAMESERVERS=172.30.98.53"]
    assert run("redis-counter", *check, options=tuple(network)) == ""
    with pytest.raises(DockerError, match="no master at"):
        run("redis-counter", *check, options=("-e", "NAMESERVERS=127.0.0.1"))


def test_an_engine_that_somebody_else_has_started_is_never_stopped(engine: None, tmp_path: Path) -> None:
    somebody = environment(ENGINE_HOME=str(tmp_path))
    command(["sh", "scripts/docker-engine.sh", "stop"], env=somebody)
    assert answers()
    assert command(["sh", "scripts/docker-engine.sh", "run", "echo", "worked"], env=somebody) == "worked"
    assert answers()


def test_run_ends_as_its_command_does(engine: None) -> None:
    with pytest.raises(DockerError, match="exit status 7"):
        command(["sh", "scripts/docker-engine.sh", "run", "sh", "-c", "exit 7"])
