"""The client through a switch: what is tried again, where it looks for the master, what becomes of its connections."""

import os
import threading

import pytest
import redis
from redis.exceptions import ReadOnlyError

from safe_redis.client import NoMaster, connect_to_slaves
from sandbox.process import free_port, wait_until
from tests.client.conftest import SERVICE, SLAVES, Group, fork


def client_connections(group: Group, name: str) -> int:
    """Of clients, without the one that asks and the replication's."""
    listed = group[name].client().client_list(_type="normal")
    return len(listed) - 1


def test_gives_a_redis_client_that_finds_the_master_by_srv(pair: Group) -> None:
    client = pair.connect()
    assert isinstance(client, redis.Redis)
    assert client.set("key", "value") is True
    assert pair["a"].client().get("key") == "value"


def test_follows_the_demoted_master_before_dns_names_the_new_one(pair: Group) -> None:
    client = pair.connect()
    assert client.incr("counter") == 1
    pair.switch()
    assert client.incr("counter") == 2
    assert pair["b"].client().get("counter") == "2"


def test_connects_where_role_says_master_though_dns_names_a_slave(pair: Group) -> None:
    pair.publish("b")
    assert pair.connect().incr("counter") == 1
    assert pair["a"].client().get("counter") == "1"
    assert pair["b"].client().role()[0] == "slave"


def test_waits_at_a_fenced_master_until_it_names_another(pair: Group) -> None:
    client = pair.connect()
    client.incr("counter")
    pair.fence()
    finish = threading.Timer(0.2, pair.complete)
    finish.start()
    assert client.incr("counter") == 2
    finish.join()
    assert pair["b"].client().get("counter") == "2"


def test_goes_on_at_the_old_master_when_the_switch_is_rolled_back(pair: Group) -> None:
    client = pair.connect()
    client.incr("counter")
    pair.fence()
    back = threading.Timer(0.2, lambda: pair["a"].client().replicaof("NO", "ONE"))
    back.start()
    assert client.incr("counter") == 2
    back.join()
    assert pair["a"].client().get("counter") == "2"


def test_raises_no_master_when_patience_ends_and_nothing_was_executed(pair: Group) -> None:
    client = pair.connect(patience=0.3)
    client.incr("counter")
    pair.fence()
    with pytest.raises(NoMaster, match=rf"no master at {SERVICE} for 0.3 s: "):
        client.incr("counter")
    assert pair["b"].client().get("counter") == "1"


def test_no_master_is_a_connection_error_of_redis_py(pair: Group) -> None:
    pair["a"].stop()
    pair["b"].stop()
    with pytest.raises(redis.ConnectionError):
        pair.connect(patience=0.1).get("key")


def test_tries_again_until_a_master_can_be_connected_to(pair: Group) -> None:
    client = pair.connect()
    pair["a"].stop()
    start = threading.Timer(0.3, pair["a"].start)
    start.start()
    assert client.incr("counter") == 1
    start.join()


def test_tries_again_while_the_master_is_loading(group: Group) -> None:
    group.add(
        "a", config={"save": '"3600 1"', "key-load-delay": "300", "loading-process-events-interval-bytes": "1024"}
    )
    group.publish("a")
    server = group["a"].client()
    with server.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.set(f"key-{number}", "x" * 100)
        pipe.execute()
    group["a"].stop()
    group["a"].start(wait=False)
    client = group.connect(patience=20)
    assert client.incr("counter") == 1
    assert server.dbsize() == 5001


def test_uses_the_last_known_address_while_no_name_server_answers(pair: Group) -> None:
    client = pair.connect()
    client.incr("counter")
    pair.dns.kill()
    client.connection_pool.disconnect()
    assert client.incr("counter") == 2


def test_says_so_when_no_name_server_answers_and_no_master_was_ever_found(pair: Group) -> None:
    port = free_port()
    with pytest.raises(NoMaster, match=f"no answer from 127.0.0.1 port {port}"):
        pair.connect(nameservers_port=port, patience=0.1).get("key")


def test_a_wrong_password_is_not_tried_again(pair: Group) -> None:
    pair["a"].client().config_set("requirepass", "secret")
    client = pair.connect(password="wrong", patience=60)
    with pytest.raises(redis.AuthenticationError):
        client.get("key")
    pair["a"].client(password="secret").config_set("requirepass", "")


def test_other_errors_of_the_server_reach_the_caller(pair: Group) -> None:
    client = pair.connect(patience=60)
    client.set("key", "no number")
    with pytest.raises(redis.ResponseError, match="not an integer"):
        client.incr("key")
    pair["a"].client().config_set("min-replicas-to-write", 9)
    with pytest.raises(redis.ResponseError, match="NOREPLICAS"):
        client.set("key", "value")


def test_idle_connections_to_the_old_master_are_dropped_when_one_learns_of_the_switch(pair: Group) -> None:
    client = pair.connect()
    pool = client.connection_pool
    opened = [pool.get_connection() for _ in range(5)]
    for connection in opened:
        pool.release(connection)
    assert client_connections(pair, "a") == 5
    pair.switch()
    client.incr("counter")
    wait_until(lambda: client_connections(pair, "a") == 0, "nobody is connected to the old master")
    assert client_connections(pair, "b") == 1


def test_a_connection_in_use_during_the_switch_is_dropped_when_it_is_released(pair: Group) -> None:
    client = pair.connect()
    busy = client.connection_pool.get_connection()
    pair.switch()
    client.incr("counter")
    client.connection_pool.release(busy)
    wait_until(lambda: client_connections(pair, "a") == 0, "nobody is connected to the old master")


def test_many_threads_follow_and_each_increment_counts_once(pair: Group) -> None:
    client = pair.connect()
    ended = threading.Event()
    counts = [0] * 8

    def count(number: int) -> None:
        while not ended.is_set():
            client.incr("counter")
            counts[number] += 1

    threads = [threading.Thread(target=count, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: min(counts) > 5, "all count")
    pair.switch()
    before = list(counts)
    wait_until(lambda: all(now > then for now, then in zip(counts, before, strict=True)), "all go on")
    ended.set()
    for thread in threads:
        thread.join(10)
    assert pair["b"].client().get("counter") == str(sum(counts))


def test_reads_go_to_a_slave_on_request(pair: Group) -> None:
    pair.connect().set("key", "value")
    pair.publish_slaves("b")
    reader = connect_to_slaves(SLAVES, decode_responses=True, **pair.nameserver())
    wait_until(lambda: reader.get("key") == "value", "the slave has it")
    assert pair.executed("b", "get") > 0
    assert pair.executed("a", "get") == 0
    with pytest.raises(ReadOnlyError):
        reader.set("key", "another")
    reader.close()


def test_a_slave_without_its_master_is_not_read_from(pair: Group) -> None:
    pair.publish_slaves("b")
    pair["b"].client().replicaof("127.0.0.1", "0")
    reader = connect_to_slaves(SLAVES, patience=0.2, **pair.nameserver())
    with pytest.raises(NoMaster, match="a slave of nobody"):
        reader.get("key")
    reader.close()


@pytest.mark.parametrize("flavour", ["valkey-8.0"])
def test_follows_the_redirection_of_valkey(group: Group, flavour: str) -> None:
    group.add("a", "b", flavour=flavour)
    group.publish("a")
    client = group.connect()
    client.incr("counter")
    group.switch()
    assert client.get("counter") == "1"  # a read, too, is led to the master
    assert client.incr("counter") == 2
    assert group["b"].client().get("counter") == "2"


def test_a_forked_process_has_connections_of_its_own(pair: Group) -> None:
    client = pair.connect()
    client.incr("counter")
    child = fork(lambda: client.incr("counter"))
    os.waitpid(child, 0)
    assert client.incr("counter") == 3
