"""The file by which the image's health check tells that the observer works."""

from pathlib import Path

from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from tests.observer.conftest import Config, StartObserver


def test_the_heartbeat_is_touched_at_every_turn_of_the_watch(
    start_observer: StartObserver, config: Config, tmp_path: Path
) -> None:
    heartbeat = tmp_path / "heartbeat"
    start_observer(HEARTBEAT=str(heartbeat))
    for _ in range(3):
        wait_until(heartbeat.exists, "the heartbeat is there")
        heartbeat.unlink()
        config.trigger()


def test_the_heart_beats_while_etcd_is_away(start_observer: StartObserver, etcd: EtcdServer, tmp_path: Path) -> None:
    heartbeat = tmp_path / "heartbeat"
    start_observer(HEARTBEAT=str(heartbeat))
    etcd.kill()
    for _ in range(3):
        wait_until(heartbeat.exists, "the heartbeat is there")
        heartbeat.unlink()


def test_a_heartbeat_that_can_not_be_written_is_told_and_stops_nothing(
    start_observer: StartObserver, config: Config, tmp_path: Path
) -> None:
    observer = start_observer(HEARTBEAT=str(tmp_path / "missing" / "heartbeat"))
    observer.says("failed to touch")
    config.trigger("after all")
    observer.says("saw trigger 'after all'")
