"""docker-compose.test.yml, run as its first lines say."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from sandbox import binaries
from sandbox.process import ROOT
from tests.containers.cluster import Cluster
from tests.containers.engine import docker, environment

pytestmark = pytest.mark.timeout(600)

PROJECT = "safe-redis-compose"
NETWORK = "172.30.99"
LOSSLESS = re.compile(r"redis-counter-1 +\| ack'd: [1-9]\d* \(0 missing\) err'd: \d+ \(0 phantom\)")
SERVERS = "safe-redis/servers:test"
# etcdctl, for the health check, is the sandbox's
SERVERS_DOCKERFILE = """\
FROM safe-redis/sandbox:test
COPY etcd coredns /usr/local/bin/
ENTRYPOINT ["coredns"]
"""


@pytest.fixture
def project(images: None) -> Iterator[Cluster]:
    cluster = Cluster(PROJECT, NETWORK)
    cluster.down()
    yield cluster
    cluster.down()


def test_counts_no_loss_while_the_master_moves_and_ends_with_the_counters_status(project: Cluster) -> None:
    argv = ["docker", "compose", "-f", "docker-compose.test.yml", "-p", PROJECT]
    up = [*argv, "up", "--build", "--exit-code-from", "redis-counter"]
    env = environment(TEST_NETWORK=NETWORK, COUNTER_COUNT="10000")
    for changes in (5, 10):  # the second time on volumes that are not empty
        done = subprocess.run(up, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
        assert LOSSLESS.search(done.stdout)
        assert project.changes() >= changes


def test_ends_with_the_counters_status_also_when_that_is_an_error(project: Cluster) -> None:
    argv = ["docker", "compose", "-f", "docker-compose.test.yml", "-p", PROJECT]
    up = [*argv, "up", "--no-deps", "--exit-code-from", "redis-counter", "redis-counter"]
    env = environment(TEST_NETWORK=NETWORK, COUNTER_COUNT="none")
    done = subprocess.run(up, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "COUNTER_COUNT" in project.logs("redis-counter")


@pytest.fixture
def servers(images: None) -> str:
    """An image of the current etcd and CoreDNS."""
    built = binaries.coredns().resolve().parent
    docker("build", "--quiet", "--tag", SERVERS, "--file", "-", str(built), timeout=300, text=SERVERS_DOCKERFILE)
    return SERVERS


def test_counts_no_loss_on_the_v3_api_with_coredns(project: Cluster, servers: str) -> None:
    argv = ["docker", "compose", "-f", "docker-compose.test.yml", "-p", PROJECT]
    up = [*argv, "up", "--build", "--exit-code-from", "redis-counter"]
    images = {"ETCD_IMAGE": servers, "COREDNS_IMAGE": servers}
    env = environment(TEST_NETWORK=NETWORK, COUNTER_COUNT="10000", ETCD_API="v3", **images)
    done = subprocess.run(up, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    assert LOSSLESS.search(done.stdout)
    assert project.changes() >= 5
    assert "CoreDNS" in project.logs("skydns")
