"""docker-compose.test.yml, run as its first lines say."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from sandbox.process import ROOT
from tests.containers.cluster import Cluster
from tests.containers.engine import environment

pytestmark = pytest.mark.timeout(600)

PROJECT = "safe-redis-compose"
NETWORK = "172.30.99"


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
        assert re.search(r"redis-counter-1 +\| ack'd: \d+ \(0 missing\) err'd: \d+ \(0 phantom\)", done.stdout)
        assert project.changes() >= changes


def test_ends_with_the_counters_status_also_when_that_is_an_error(project: Cluster) -> None:
    argv = ["docker", "compose", "-f", "docker-compose.test.yml", "-p", PROJECT]
    up = [*argv, "up", "--no-deps", "--exit-code-from", "redis-counter", "redis-counter"]
    env = environment(TEST_NETWORK=NETWORK, COUNTER_COUNT="none")
    done = subprocess.run(up, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "COUNTER_COUNT" in project.logs("redis-counter")
