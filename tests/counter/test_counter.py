"""The counter against real servers: what it finds, and that it ends whatever happens to them."""

import os
import pty
import re
import signal
import subprocess
import termios
from pathlib import Path

import msgspec
import pytest
from redis.exceptions import ReadOnlyError

from redis_counter import stored
from redis_counter.counter import Settings
from redis_counter.master import connect
from safe_redis.srv import Endpoint
from sandbox.process import ROOT, free_port, wait_until
from sandbox.redis import RedisServer
from tests.conftest import StartRedis
from tests.counter.conftest import COMMAND, KEY, Cluster, Count, counting
from tests.counter.relay import Fickle, Liar, in_front_of


@pytest.fixture
def redis(start_redis: StartRedis, cluster: Cluster) -> RedisServer:
    """The master, and DNS says so."""
    server = start_redis()
    cluster.master(server)
    return server


def has_entries(server: RedisServer, number: int) -> bool:
    return int(server.client().llen(KEY)) >= number


def last_line(output: str) -> str:
    return output.splitlines()[-1]


def tallied(output: str) -> tuple[int, ...]:
    """ack'd, missing, err'd and phantom of the last line, whose form is fixed."""
    match = re.fullmatch(r"ack'd: (\d+) \((\d+) missing\) err'd: (\d+) \((\d+) phantom\)", last_line(output))
    assert match, output
    return tuple(int(figure) for figure in match.groups())


def unknown(output: str) -> int:
    match = re.search(r"^unknown: (\d+) \(\d+ present\)$", output, re.MULTILINE)
    assert match, output
    return int(match[1])


def test_every_write_to_a_quiet_master_is_acknowledged_and_there(count: Count, redis: RedisServer) -> None:
    result = count(COUNTER_COUNT=500)
    assert result.returncode == 0, result.stderr
    assert last_line(result.stdout) == "ack'd: 500 (0 missing) err'd: 0 (0 phantom)"
    assert redis.client().llen(KEY) == 500
    assert "unknown: 0 (0 present)\nduplicates: 0\nlongest pause between two acks: " in result.stdout


def test_writers_side_by_side_share_the_count(count: Count, redis: RedisServer) -> None:
    result = count(COUNTER_COUNT=1003, COUNTER_WRITERS=8, COUNTER_KEY="another key")
    assert tallied(result.stdout) == (1003, 0, 0, 0)
    assert redis.client().llen("another key") == 1003


def test_what_the_list_held_before_stays_and_does_not_count(count: Count, redis: RedisServer) -> None:
    redis.client().rpush(KEY, "an earlier entry", "an earlier entry")
    result = count()
    assert tallied(result.stdout) == (100, 0, 0, 0)
    assert "duplicates: 0" in result.stdout
    assert redis.client().llen(KEY) == 102


def test_clear_empties_the_list_first(count: Count, redis: RedisServer) -> None:
    redis.client().rpush(KEY, "an earlier entry")
    assert tallied(count(COUNTER_CLEAR=1).stdout) == (100, 0, 0, 0)
    assert redis.client().llen(KEY) == 100


def test_a_list_longer_than_one_chunk_is_read_whole(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "CHUNK", 10)
    connection = connect(Endpoint(redis.host, redis.port))
    for more in (0, 9, 1, 10, 3):  # the list gets 0, 9, 10, 20 and 23 entries
        for number in range(more):
            redis.client().rpush(KEY, f"{more}: {number}")
        assert stored.read(connection, KEY) == redis.client().lrange(KEY, 0, -1)
    connection.disconnect()


def test_a_slave_is_not_what_the_writes_are_compared_with(redis: RedisServer) -> None:
    redis.client().replicaof("127.0.0.1", "0")
    connection = connect(Endpoint(redis.host, redis.port))
    with pytest.raises(ReadOnlyError):
        stored.read(connection, KEY)
    connection.disconnect()


def test_a_master_that_moves_after_each_answer_can_be_compared_with(
    count: Count, cluster: Cluster, redis: RedisServer
) -> None:
    with in_front_of(redis, Fickle(redis).conversation) as fickle:
        cluster.publish("127.0.0.1", fickle.port)
        result = count(COUNTER_COUNT=20, COUNTER_PATIENCE=2, COUNTER_CLIENT="plain")
    assert result.returncode == 0, result.stderr
    assert tallied(result.stdout) == (10, 0, 10, 0)


def test_writes_that_the_server_refuses_are_errd(count: Count, redis: RedisServer) -> None:
    redis.client().config_set("min-replicas-to-write", 1)
    result = count(COUNTER_COUNT=20)
    assert result.returncode == 0
    assert tallied(result.stdout) == (0, 0, 20, 0)
    assert "errors: NOREPLICAS 20" in result.stdout


def test_an_acknowledged_write_that_vanishes_is_missing(cluster: Cluster, redis: RedisServer) -> None:
    with counting(cluster, COUNTER_COUNT=200, COUNTER_INTERVAL=5) as process:
        wait_until(lambda: has_entries(redis, 10), "ten writes were made")
        gone = str(redis.client().lpop(KEY))
        out, err = process.communicate(timeout=30)
    assert tallied(out) == (200, 1, 0, 0)
    assert process.returncode == 1
    assert f"missing: {gone}" in err


def test_a_value_stored_twice_is_reported(cluster: Cluster, redis: RedisServer) -> None:
    with counting(cluster, COUNTER_COUNT=200, COUNTER_INTERVAL=5) as process:
        wait_until(lambda: has_entries(redis, 10), "ten writes were made")
        twice = str(redis.client().lindex(KEY, 0))
        redis.client().rpush(KEY, twice)
        out, err = process.communicate(timeout=30)
    assert tallied(out) == (200, 0, 0, 0)
    assert "duplicates: 1" in out
    assert f"duplicate: {twice}" in err


def test_a_refused_write_that_is_there_is_a_phantom(count: Count, cluster: Cluster, redis: RedisServer) -> None:
    with in_front_of(redis, Liar(7, "refuse").conversation) as liar:
        cluster.publish("127.0.0.1", liar.port)
        result = count(COUNTER_COUNT=30, COUNTER_CLIENT="plain")
    assert tallied(result.stdout) == (29, 0, 1, 1)
    assert result.returncode == 1
    assert "phantom: " in result.stderr


@pytest.mark.parametrize("client", ["safe", "plain"])
def test_a_write_whose_answer_never_came_is_unknown_and_no_phantom(
    count: Count, cluster: Cluster, redis: RedisServer, client: str
) -> None:
    with in_front_of(redis, Liar(7, "hang up").conversation) as liar:
        cluster.publish("127.0.0.1", liar.port)
        result = count(COUNTER_COUNT=30, COUNTER_CLIENT=client)
    assert tallied(result.stdout) == (29, 0, 0, 0)
    assert "unknown: 1 (1 present)" in result.stdout
    assert result.returncode == 0
    assert redis.client().llen(KEY) == 30  # sent once only


@pytest.mark.parametrize("client", ["safe", "plain"])
def test_follows_the_master_when_it_moves(cluster: Cluster, start_redis: StartRedis, client: str) -> None:
    old, new = start_redis("old"), start_redis("new")
    cluster.master(old)
    new.client().replicaof(old.host, str(old.port))
    wait_until(lambda: new.client().role()[3] == "connected", "the new master follows the old one")
    with counting(cluster, COUNTER_COUNT=4000, COUNTER_WRITERS=4, COUNTER_INTERVAL=2, COUNTER_CLIENT=client) as process:
        wait_until(lambda: has_entries(new, 100), "a hundred writes were made")
        old.client().replicaof("127.0.0.1", "0")  # refuses writes and freezes
        wait_until(lambda: new.client().llen(KEY) == old.client().llen(KEY), "the new master has all")
        new.client().replicaof("NO", "ONE")
        cluster.master(new)
        out, err = process.communicate(timeout=30)
    acked, missing, refused, phantom = tallied(out)
    assert (missing, phantom, unknown(out)) == (0, 0, 0)
    assert (refused > 0) == (client == "plain"), err
    assert acked + refused == 4000
    assert process.returncode == 0


def test_a_stopped_master_does_not_hang_it(cluster: Cluster, start_redis: StartRedis) -> None:
    old, new = start_redis("old"), start_redis("new")
    cluster.master(old)
    with counting(cluster, COUNTER_COUNT=400, COUNTER_WRITERS=2, COUNTER_INTERVAL=2) as process:
        wait_until(lambda: has_entries(old, 100), "a hundred writes were made")
        old.pause()
        cluster.master(new)
        out, err = process.communicate(timeout=30)
    old.resume()
    acked, missing, refused, _ = tallied(out)
    # What only the stopped server has is missing on the new one, and one write of each was under way.
    assert unknown(out) == 2
    assert missing >= 100
    assert acked + refused + 2 == 400
    assert process.returncode == 1, err


def test_an_outage_does_not_use_up_the_writes(cluster: Cluster, redis: RedisServer) -> None:
    with counting(cluster, COUNTER_COUNT=500, COUNTER_INTERVAL=1) as process:
        wait_until(lambda: has_entries(redis, 50), "fifty writes were made")
        redis.client().config_rewrite()
        redis.client().save()
        redis.kill()
        redis.start()
        out, _ = process.communicate(timeout=30)
    acked, _, refused, phantom = tallied(out)
    assert acked >= 400
    assert phantom == 0
    assert acked + refused + unknown(out) == 500


def test_gives_up_when_there_is_no_master(count: Count) -> None:
    result = count(COUNTER_PATIENCE=0.3)
    assert result.returncode == 1
    assert "no master at master.redis-1.docker for 0.3 s" in result.stderr


def test_tells_what_it_can_when_the_master_goes_for_good(cluster: Cluster, start_redis: StartRedis) -> None:
    old, new = start_redis("old"), start_redis("new")
    cluster.master(old)
    with counting(cluster, COUNTER_COUNT=1000, COUNTER_INTERVAL=1, COUNTER_PATIENCE=0.5) as process:
        wait_until(lambda: has_entries(old, 50), "fifty writes were made")
        new.client().replicaof(old.host, str(old.port))
        wait_until(lambda: has_entries(new, 50), "the other one has them too")
        old.kill()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "no master at master.redis-1.docker for 0.5 s" in err


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COUNTER_COUNT", "many"),
        ("COUNTER_COUNT", "0"),
        ("COUNTER_INTERVAL", "-1"),
        ("COUNTER_WRITERS", "0"),
        ("COUNTER_CLEAR", "perhaps"),
        ("COUNTER_PATIENCE", "0"),
        ("COUNTER_CLIENT", "another"),
        ("NAMESERVERS", "not-an-ip"),
        ("NAMESERVERS_PORT", "65536"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_bad_setting_stops_it_with_its_name_and_value(count: Count, variable: str, value: str) -> None:
    result = count(**{variable: value})
    assert result.returncode == 2
    assert variable in result.stderr
    assert value in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_early_with_a_tally(cluster: Cluster, redis: RedisServer, ending: signal.Signals) -> None:
    with counting(cluster, COUNTER_COUNT=1_000_000, COUNTER_WRITERS=2, COUNTER_INTERVAL=1) as process:
        wait_until(lambda: has_entries(redis, 50), "fifty writes were made")
        process.send_signal(ending)
        out, err = process.communicate(timeout=10)
    acked, missing, _, phantom = tallied(out)
    assert acked >= 50
    assert (missing, phantom) == (0, 0)
    assert process.returncode == 1
    assert f"stopped after {acked} of 1000000 writes" in err


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_writer_that_dies_is_no_success(cluster: Cluster, redis: RedisServer) -> None:
    with counting(cluster, COUNTER_COUNT=1_000_000, COUNTER_WRITERS=2, COUNTER_INTERVAL=1) as process:
        wait_until(lambda: has_entries(redis, 50), "fifty writes were made")
        os.kill(children(process.pid)[0], signal.SIGKILL)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "a writer ended with exit status -9" in err


def test_writers_end_when_the_counter_is_killed(cluster: Cluster, redis: RedisServer) -> None:
    with counting(cluster, COUNTER_COUNT=1_000_000, COUNTER_WRITERS=2, COUNTER_INTERVAL=1) as process:
        wait_until(lambda: has_entries(redis, 50), "fifty writes were made")
        writers = children(process.pid)
        process.kill()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in writers), "its writers have ended")


def test_on_a_terminal_it_asks_for_enter_and_shows_progress(cluster: Cluster, redis: RedisServer) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    shown = b""

    def read_until(text: bytes) -> None:
        nonlocal shown
        while text not in shown:
            shown += os.read(ours, 4096)

    with subprocess.Popen(
        COMMAND, cwd=ROOT, env=cluster.environment({}), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        read_until(b"Press ENTER to start writing")
        assert redis.client().llen(KEY) == 0
        os.write(ours, b"\n")
        read_until(b"Press ENTER to compare")
        assert redis.client().llen(KEY) == 100
        os.write(ours, b"\n")
        read_until(b"ack'd: 100 (0 missing) err'd: 0 (0 phantom)\r\n")
        assert process.wait(10) == 0
    assert b"100%" in shown
    os.close(ours)


def test_without_a_terminal_no_bar_is_drawn(count: Count, redis: RedisServer) -> None:
    assert count().stderr == ""


def test_a_name_server_that_is_down_is_named(count: Count, redis: RedisServer) -> None:
    port = free_port()
    result = count(NAMESERVERS_PORT=port, COUNTER_PATIENCE=0.2)
    assert result.returncode == 1
    assert f"no answer from 127.0.0.1 port {port}" in result.stderr


def test_help_names_every_setting_and_how_it_ends() -> None:
    result = subprocess.run([*COMMAND, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    for field in msgspec.structs.fields(Settings):
        assert field.encode_name.upper() in result.stdout
    assert "ack'd: " in result.stdout
