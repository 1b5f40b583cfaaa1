"""While writers write, the cluster returns to the declared state by itself."""

import time

import pytest

from sandbox.cluster import Cluster
from tests.end_to_end.healing import Writers, wait_healed, wait_logged

# Healing may take a minute on a busy machine, and some tests wait for it twice.
pytestmark = pytest.mark.timeout(300)


def test_the_master_restarts_under_a_new_port(applied: Cluster, writers: Writers) -> None:
    applied.nodes["core-01"].kill()
    applied.nodes["core-01"].start()
    wait_healed(applied, "core-01")
    writers.wait_progress("core-01")
    writers.assert_nothing_lost()


def test_the_master_is_stopped_and_starts_under_a_new_port(applied: Cluster, writers: Writers) -> None:
    applied.nodes["core-01"].stop()
    applied.nodes["core-01"].start()
    wait_healed(applied, "core-01")
    writers.wait_progress("core-01")
    writers.assert_nothing_lost()


def test_the_master_restarts_under_a_new_port_while_a_slave_is_dead(applied: Cluster, writers: Writers) -> None:
    applied.nodes["core-03"].kill()
    applied.nodes["core-01"].kill()
    applied.nodes["core-01"].start()
    wait_healed(applied, "core-01", without=["core-03"])
    writers.wait_progress("core-01")

    applied.nodes["core-03"].start()
    wait_healed(applied, "core-01")
    writers.assert_nothing_lost()


def test_a_slave_restarts_under_a_new_port(applied: Cluster, writers: Writers) -> None:
    applied.nodes["core-02"].kill()
    applied.nodes["core-02"].start()
    wait_healed(applied, "core-01")
    writers.assert_nothing_lost()


@pytest.mark.parametrize("seconds", [0, pytest.param(60, marks=pytest.mark.full)])
def test_a_slave_is_dead_while_the_master_moves_and_comes_back(
    applied: Cluster, writers: Writers, seconds: int
) -> None:
    applied.nodes["core-03"].kill()
    applied.define(applied.document("core-02"))
    applied.apply()
    wait_healed(applied, "core-02", without=["core-03"])
    writers.wait_progress("core-02")

    # The scenario, not a wait for something: after a minute its record has expired.
    time.sleep(seconds)
    applied.nodes["core-03"].start()
    wait_healed(applied, "core-02")
    writers.assert_nothing_lost()


def test_a_slave_that_hangs_does_not_delay_a_change_and_follows_when_it_resumes(
    applied: Cluster, writers: Writers
) -> None:
    applied.nodes["core-03"].pause()
    applied.define(applied.document("core-02"))
    applied.apply()
    wait_healed(applied, "core-02", without=["core-03"])
    writers.wait_progress("core-02")

    applied.nodes["core-03"].resume()
    wait_healed(applied, "core-02")
    writers.assert_nothing_lost()


@pytest.mark.parametrize(("leave", "come_back"), [("kill", "start"), ("pause", "resume")])
def test_etcd_is_down_for_ten_seconds(applied: Cluster, writers: Writers, leave: str, come_back: str) -> None:
    getattr(applied.etcd, leave)()
    time.sleep(10)  # the scenario, not a wait for something
    writers.wait_progress("core-01")
    getattr(applied.etcd, come_back)()
    wait_healed(applied, "core-01")

    applied.define(applied.document("core-02"))
    applied.apply()
    wait_healed(applied, "core-02")
    writers.assert_nothing_lost()


@pytest.mark.parametrize("cluster", ["v2", pytest.param("v3", marks=pytest.mark.full)], indirect=True)
@pytest.mark.parametrize("moment", ["observed", "planned", "pause", "fence", "promote"])
def test_the_dictator_is_killed_during_a_switchover(applied: Cluster, writers: Writers, moment: str) -> None:
    offset = applied.dictator.process.log.stat().st_size
    applied.define(applied.document("core-02"))
    applied.apply()
    wait_logged(applied.dictator.process, moment, offset)
    applied.dictator.kill()
    applied.dictator.start()
    wait_healed(applied, "core-02")
    writers.wait_progress("core-02")
    writers.assert_nothing_lost()
