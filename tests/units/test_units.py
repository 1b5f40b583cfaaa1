"""The units under a real systemd, with a real Docker, on two hosts."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from safe_redis import __version__
from sandbox.process import ROOT, wait_until
from tests.units.cluster import ALONE, STATES, Cluster, endpoint, name
from tests.units.hosts import Host

SITE = "/etc/redis-1.env"
# Debian's own configuration asks for a password
REGISTRY = """
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/docker-registry}}
http: {addr: ":5000"}
"""
TRIGGER = "/config/redis-1/topology-trigger"

pytestmark = pytest.mark.timeout(240)


def host_of(cluster: Cluster, unit: str) -> Host:
    """The host of a unit that is on one only; for the others, the one with the slave, whose name has capitals."""
    return cluster.hosts[ALONE.get(unit, 1)]


def render(*arguments: str | Path) -> None:
    subprocess.run(["sh", ROOT / "scripts/render-units.sh", *arguments], check=True)


def kill_node(host: Host) -> None:
    """SIGKILL to redis, then wait until it answers in another container."""
    killed = host.running("redis-1-node")
    host.run("docker", "kill", "--signal", "KILL", "redis-1-node")
    wait_until(lambda: host.running("redis-1-node") not in {"", killed}, "there is a new container", 60, 0.1)
    host.serves()


def mirror(host: Host, *mirrors: str) -> None:
    """Name the mirrors to the host's Docker, which reads them anew at a SIGHUP."""
    host.write("/etc/docker/daemon.json", json.dumps({"registry-mirrors": mirrors}))
    host.run("systemctl", "kill", "--kill-who=main", "--signal=HUP", "docker")
    shown = ("docker", "info", "--format", "{{json .RegistryConfig.Mirrors}}")
    wait_until(lambda: (json.loads(host.run(*shown)) or []) == list(mirrors), "Docker knows the mirrors", 30, 0.1)


def test_every_unit_reaches_its_state_whatever_the_order(cluster: Cluster) -> None:
    for host, unit in cluster.placed():
        assert (host, unit, host.state(name(unit))) == (host, unit, STATES[unit])
    # the node came first, and had to try until its volumes were there
    for host in cluster.hosts:
        assert "No such container: redis-1-node-config" in host.journal(name("node"))


def test_images_are_used_without_a_registry(cluster: Cluster) -> None:
    for host, unit in cluster.placed():
        if unit != "node":
            assert "Error response from daemon: Get" in host.journal(name(unit))


def test_images_come_from_a_registry_as_mirror(cluster: Cluster) -> None:
    registry, host = cluster.hosts
    image = "safe-redis/redis-counter"
    tagged = f"{image}:{__version__}"
    registry.write("/etc/docker/registry/config.yml", REGISTRY)
    registry.run("systemctl", "start", "docker-registry")
    registry.run("docker", "tag", tagged, f"localhost:5000/{tagged}")
    registry.run("docker", "push", f"localhost:5000/{tagged}")
    mirror(host, f"http://{registry.address}:5000/")
    host.run("docker", "rmi", tagged, f"{image}:test")
    host.run("docker", "pull", tagged)
    assert image in host.run("docker", "images", "--format", "{{.Repository}}").split()
    mirror(host)


def test_nodes_are_registered_in_lower_case(cluster: Cluster) -> None:
    for host in cluster.hosts:
        assert host.lookup("core-02.redis-1.docker") == endpoint(cluster.hosts[1])
        assert host.lookup("redis-1-dictator.docker").startswith(f"{cluster.hosts[0].address}:")


def test_redis_is_published_on_the_private_address_only(cluster: Cluster) -> None:
    for host in cluster.hosts:
        assert endpoint(host).startswith(f"{host.address}:")


def start_counter(host: Host, unit: str, count: int) -> None:
    settings = ("--dns", host.address, "--env", f"COUNTER_COUNT={count}", "--env", "COUNTER_INTERVAL=1")
    argv = ("docker", "run", "--rm", *settings, f"safe-redis/redis-counter:{__version__}")
    host.run("systemd-run", f"--unit={unit}", *argv)


def wait_lossless(host: Host, unit: str) -> None:
    """Wait until the counter has ended, and lost nothing."""
    wait_until(lambda: "err'd" in host.journal(unit), "the counter has ended", 120, 0.2)
    assert re.search(r"ack'd: \d+ \(0 missing\) err'd: \d+ \(0 phantom\)", host.journal(unit))


def test_master_moves_under_a_counter_without_loss(cluster: Cluster) -> None:
    host = cluster.hosts[0]
    start_counter(host, "counter", 3000)
    for master in ("core-02", "core-01", "core-02"):
        cluster.define(master=master)
        cluster.settle()
    wait_lossless(host, "counter")


def test_every_node_is_restarted_by_systemd_under_a_counter_without_loss(cluster: Cluster) -> None:
    before = [host.running("redis-1-node") for host in cluster.hosts]
    start_counter(cluster.hosts[0], "rolling-counter", 20_000)
    assert "2 nodes restarted, core-01.redis-1.docker is master" in cluster.restart_all()
    after = [host.running("redis-1-node") for host in cluster.hosts]
    assert not set(before) & set(after)
    cluster.settle()
    wait_lossless(cluster.hosts[0], "rolling-counter")


@pytest.mark.parametrize("master", [True, False], ids=["master", "slave"])
def test_killed_node_comes_back_with_its_data_and_config(cluster: Cluster, *, master: bool) -> None:
    host = cluster.hosts[0 if master else 1]
    host.redis("CONFIG", "SET", "maxmemory", "123456789")
    host.redis("CONFIG", "REWRITE")
    cluster.hosts[0].redis("SET", "kept", "yes")
    cluster.hosts[0].redis("WAIT", "1", "5000")
    kill_node(host)
    assert host.redis("CONFIG", "GET", "maxmemory").splitlines() == ["maxmemory", "123456789"]
    assert host.redis("GET", "kept") == "yes"
    host.reaches(name("node"), STATES["node"])
    cluster.settle()


def test_volumes_outlive_their_containers(cluster: Cluster) -> None:
    slave = cluster.hosts[1]
    cluster.hosts[0].redis("SET", "outlives", "yes")
    cluster.hosts[0].redis("WAIT", "1", "5000")
    slave.redis("CONFIG", "SET", "maxmemory", "234567890")
    slave.redis("CONFIG", "REWRITE")
    slave.run("systemctl", "stop", name("node"), name("node-config"), name("node-data"))
    containers = ("redis-1-node", "redis-1-node-config", "redis-1-node-data")
    slave.run("docker", "rm", "--force", "--volumes", *containers)
    slave.run("systemctl", "start", name("node"), name("node-config"), name("node-data"))
    slave.serves()
    assert slave.redis("CONFIG", "GET", "maxmemory").splitlines() == ["maxmemory", "234567890"]
    assert slave.redis("GET", "outlives") == "yes"
    cluster.settle()


@pytest.mark.parametrize("unit", STATES)
def test_stops_and_starts_and_says_so(cluster: Cluster, unit: str) -> None:
    host = host_of(cluster, unit)
    before = host.key(TRIGGER)
    host.run("systemctl", "stop", name(unit))
    assert host.state(name(unit)) == "inactive (dead)"
    assert host.running(f"redis-1-{unit}") == ""
    host.run("systemctl", "start", name(unit))
    host.reaches(name(unit), STATES[unit])
    assert host.state(name("node")) == "active (running)"
    after = host.key(TRIGGER)
    if unit in {"node", "dictator", "dnsd"}:
        assert after["modifiedIndex"] > before["modifiedIndex"]
        assert after["value"].startswith(f"redis-1-{unit} on {host.name} ")
    else:
        assert after == before
    cluster.settle()


@pytest.mark.parametrize("unit", ALONE)
def test_stops_also_before_its_program_handles_signals(cluster: Cluster, unit: str) -> None:
    host = host_of(cluster, unit)
    before = host.running(f"redis-1-{unit}")
    host.run("systemctl", "restart", "--no-block", name(unit))
    wait_until(lambda: host.running(f"redis-1-{unit}") not in {"", before}, "there is a new container", 60, 0.05)
    host.run("systemctl", "stop", name(unit))
    # "failed" is what it would be after a SIGKILL
    assert host.state(name(unit)) == "inactive (dead)"
    assert host.running(f"redis-1-{unit}") == ""


@pytest.mark.parametrize("unit", ALONE)
def test_service_that_fleet_moves_goes_on_elsewhere(cluster: Cluster, unit: str) -> None:
    here = host_of(cluster, unit)
    (there,) = (host for host in cluster.hosts if host is not here)
    here.run("systemctl", "stop", name(unit))
    there.load(ROOT / "units" / name(unit))
    there.start(name(unit))
    there.reaches(name(unit), STATES[unit])
    cluster.define(master="core-02")
    cluster.settle()
    there.run("systemctl", "stop", name(unit))
    here.start(name(unit))
    here.reaches(name(unit), STATES[unit])
    cluster.define(master="core-01")
    cluster.settle()


def test_everything_comes_back_after_docker_was_stopped_and_started(cluster: Cluster) -> None:
    host = cluster.hosts[1]
    host.run("systemctl", "stop", "docker.socket", "docker.service")
    host.run("systemctl", "start", "docker.service")
    for unit in ("node", "dnsd", "topology-observer"):
        host.reaches(name(unit), STATES[unit])
    cluster.settle()


def test_node_runs_without_etcd_and_is_announced_once_it_is_back(cluster: Cluster) -> None:
    host = cluster.hosts[1]
    host.run("systemctl", "stop", "etcd")
    try:
        host.run("systemctl", "restart", "--no-block", name("node"))
        host.reaches(name("node"), "activating (start-post)")
        host.serves()
        # also then it comes back
        kill_node(host)
        host.reaches(name("node"), "activating (start-post)")
    finally:
        host.run("systemctl", "start", "etcd")
    host.reaches(name("node"), "active (running)")
    cluster.settle()


def test_site_overrides_images_and_settings(cluster: Cluster) -> None:
    host = host_of(cluster, "dictator")
    site = (
        'DICTATOR_IMAGE=safe-redis/dictator:test\nSYNC_TIMEOUT=7\nDICTATOR_OPTIONS="--label site=mine --memory 200m"\n'
    )
    host.write(SITE, site)
    try:
        host.run("systemctl", "restart", name("dictator"))
        config = host.started("redis-1-dictator")["Config"]
        assert config["Image"] == "safe-redis/dictator:test"
        assert config["Labels"]["site"] == "mine"
        environ = host.run("docker", "exec", "redis-1-dictator", "env").splitlines()
        assert "SYNC_TIMEOUT=7" in environ
        assert not [line for line in environ if line.startswith(("PAUSE_TIMEOUT", "REDIS_PASSWORD"))]
        cluster.settle()
    finally:
        host.run("rm", SITE)
        host.run("systemctl", "restart", name("dictator"))
    assert host.started("redis-1-dictator")["Config"]["Image"] == f"safe-redis/dictator:{__version__}"


@pytest.mark.parametrize("unit", ["node", "dnsd"])
def test_publishes_nothing_where_the_private_address_is_unknown(cluster: Cluster, unit: str) -> None:
    host = host_of(cluster, unit)
    host.write(SITE, "COREOS_PRIVATE_IPV4=\n")
    try:
        host.run("systemctl", "restart", "--no-block", name(unit))
        host.reaches(name(unit), "activating (auto-restart)")
        assert "COREOS_PRIVATE_IPV4: is not set in /etc/environment" in host.journal(name(unit), 20)
        assert host.running(f"redis-1-{unit}") == ""
    finally:
        host.run("rm", SITE)
    host.reaches(name(unit), STATES[unit])
    cluster.settle()


def test_second_cluster_runs_beside_the_first(cluster: Cluster, tmp_path: Path) -> None:
    host = cluster.hosts[0]
    render("redis-2", tmp_path, "hosts=redis-1")
    units = [unit for unit in STATES if unit != "node"]
    # its image is missing at first: the node's retries are what starts the volumes' units again
    host.write("/etc/redis-2.env", "NODE_IMAGE=safe-redis/missing:latest\n")
    for unit in ("node", *units):
        host.load(tmp_path / name(unit, "redis-2"))
        host.start(name(unit, "redis-2"))
    host.reaches(name("node-config", "redis-2"), "failed (failed)")
    host.run("rm", "/etc/redis-2.env")
    try:
        for unit, state in STATES.items():
            host.reaches(name(unit, "redis-2"), state)
        cluster.apply("core-01", cluster="redis-2")
        wait_until(
            lambda: host.lookup("master.redis-2.docker") == endpoint(host, "redis-2-node"),
            "redis-2 has a master",
            60,
            0.2,
        )
    finally:
        host.run("systemctl", "stop", *(name(unit, "redis-2") for unit in STATES))
    cluster.settle()
