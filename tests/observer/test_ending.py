"""SIGTERM ends the observer, whatever it does at that moment."""

import time

import pytest

from sandbox.process import wait_until
from tests.observer.conftest import Config, Receiver, StartObserver


def test_sigterm_ends_it_whatever_it_does(config: Config, dictator: Receiver, start_observer: StartObserver) -> None:
    config.define("a")
    dictator.will_answer(503)
    pausing = start_observer(log="pausing.log", RETRY_FIRST="3600", RETRY_MAX="3600")
    pausing.says("ended the run")
    idle = start_observer(log="idle.log")
    idle.says("ended the run")
    dictator.go_on.clear()
    notifying = start_observer(log="notifying.log")
    dictator.got(3)
    for observer in (pausing, idle, notifying):
        observer.stop(timeout=5)
        assert observer.returncode == 0
        assert observer.count("stops on SIGTERM") == 1
        assert observer.count("Traceback") == 0


@pytest.mark.parametrize("milliseconds", [step / 4 for step in range(24)])
def test_sigterm_ends_it_at_any_moment_of_its_first_run(start_observer: StartObserver, milliseconds: float) -> None:
    """It starts its threads then, and SIGTERM must not cut off the start of one."""
    observer = start_observer(wait=False)
    wait_until(lambda: observer.count("notifies") == 1, "its log has begun", interval=0.0002)
    time.sleep(milliseconds / 1000)
    observer.stop(timeout=5)
    assert observer.returncode == 0
    assert observer.count("stops on SIGTERM") == 1
    assert observer.count("Traceback") == 0
