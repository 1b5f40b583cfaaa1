"""What an outsider does to the client: nothing is executed twice, and no acknowledged write is forgotten."""

import os
import threading
from typing import Any

import pytest

from safe_redis.client import NoMaster, OutcomeUnknown
from sandbox.process import wait_until
from tests.client.conftest import Group, fork


def test_a_command_in_flight_at_a_master_that_stalls_is_executed_once_at_most(pair: Group) -> None:
    client = pair.connect(socket_timeout=0.3, patience=0.5)
    assert client.incr("counter") == 1
    pair["a"].process.pause()
    with pytest.raises(OutcomeUnknown):
        client.incr("counter")
    with pytest.raises(NoMaster):
        client.incr("counter")
    pair["a"].process.resume()
    wait_until(lambda: pair["a"].client().get("counter") == "2", "what was sent is executed")
    assert client.incr("counter") == 3


def test_an_old_master_that_says_that_it_is_one_again_is_left_when_dns_names_another(pair: Group) -> None:
    client = pair.connect(patience=0.5)
    client.incr("counter")
    pair.switch()
    pair.publish("b")
    assert client.incr("counter") == 2
    pair["a"].client().replicaof("NO", "ONE")
    assert client.incr("counter") == 3
    client.connection_pool.disconnect()
    assert client.incr("counter") == 4
    assert pair["b"].client().get("counter") == "4"


def test_dns_that_dies_amid_a_switch_does_not_keep_the_client_from_the_new_master(pair: Group) -> None:
    client = pair.connect(patience=10)
    client.incr("counter")
    pair.dns.kill()
    pair.switch()
    assert client.incr("counter") == 2
    client.connection_pool.disconnect()
    assert client.incr("counter") == 3
    assert pair["b"].client().get("counter") == "3"


def test_a_connection_that_is_cut_amid_a_transaction_executes_none_or_all_of_it(pair: Group) -> None:
    client = pair.connect()
    client.set("counter", 0)
    pipe: Any = client.pipeline()
    for _ in range(3):
        pipe.incr("counter")
    pair["a"].client().client_kill_filter(_type="normal", skipme=True)
    assert pipe.execute() == [1, 2, 3]
    pair.switch()
    for _ in range(3):
        pipe.incr("counter")
    assert pipe.execute() == [4, 5, 6]
    assert pair["b"].client().get("counter") == "6"


def test_a_process_that_was_forked_while_a_thread_asks_a_fenced_master_goes_on(pair: Group) -> None:
    client = pair.connect(patience=20)
    client.incr("counter")
    pair.fence()
    thread = threading.Thread(target=lambda: client.incr("counter"))
    thread.start()
    asking = client.connection_pool.locator
    with asking.turn(threading.Event()):
        child = fork(lambda: client.incr("counter"))
    pair.complete()
    thread.join(20)
    os.waitpid(child, 0)
    assert client.incr("counter") == 4
