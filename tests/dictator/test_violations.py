"""Eleven ways in which version 0.1 lost acknowledged writes or made two masters, on real servers.

Found by attacks from outside. V1 to V11 are the numbers by which docs/proof.md knows them. Each test brings about what
was seen then, by means that anybody has, and asks only for what may never happen.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from dictator.apply import Dictator
from dictator.lineage import KEY
from dictator.settings import Settings
from dictator.takeover import NAME
from safe_redis.errors import TopologyError
from safe_redis.settings import read
from sandbox.process import free_port, wait_until
from tests.dictator.group import PATIENCE, Group, fill
from tests.dictator.harness import DURABLE, PERSISTENT, Harness
from tests.dictator.watchers import At, killed_at

SETTINGS: dict[str, float] = {"sync_timeout": 30, "follow_timeout": 30, "pause_timeout": 10}


class Answer:
    """The dictator's status, and its receipt or its complaint as text."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text

    def __repr__(self) -> str:
        return f"{self.status} {self.text}"


def apply(
    group: Group, master: str, *slaves: str, cluster: str = "redis-1", force: bool = False, **settings: float
) -> Answer:
    """Applies a topology with the dictator of a cluster."""
    env = {"CLUSTER": cluster, **{name.upper(): str(value) for name, value in (SETTINGS | settings).items()}}
    try:
        receipt = Dictator(read(Settings, env)).apply(group.topology(master, *slaves), force=force)
    except TopologyError as error:
        return Answer(error.status, str(error))
    return Answer(202 if receipt.open else 200, receipt.json().decode())


def masters(clients: dict[str, "redis.Redis"]) -> list[str]:
    return [name for name, client in clients.items() if client.info("replication")["role"] == "master"]


def holds(client: "redis.Redis", count: int, prefix: str = "key") -> bool:
    return int(client.exists(*(f"{prefix}:{number}" for number in range(count)))) == count


def has_record(group: Group, name: str) -> bool:
    return bool(group[name].exists(KEY))


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    """Instances a, b and c behind proxies; a is the master of the others and holds 100 keys."""
    with Harness(tmp_path, "redis-7.0", config=PERSISTENT, settings=SETTINGS) as made:
        made.arrange({"a": None, "b": "a", "c": "a"})
        fill(made.clients["a"])
        wait_until(lambda: holds(made.clients["c"], 100), "the copies hold the keys", PATIENCE)
        assert applied(made, "a")["status"] == 200
        yield made


def applied(harness: Harness, master: str, slaves: str | None = None, *, force: bool = False) -> dict[str, Any]:
    return harness.apply(harness.document(master, slaves), force=force).result(2 * PATIENCE)


@contextmanager
def unreachable(harness: Harness, name: str) -> Iterator[None]:
    """The dictator can't reach the instance; its own link to its master stands."""
    proxy = harness.proxies[name]
    target, proxy.target = proxy.target, ("127.0.0.1", free_port())
    yield
    proxy.target = target


def dies_after_promoting_b(harness: Harness) -> None:
    """A dictator that moves the master from a to b, and gets SIGKILL when b has been promoted."""
    hit = killed_at(harness, harness.document("b"), At("b", "REPLICAOF NO", after=True))
    assert hit, "it lived long enough to be killed there"
    assert harness.info("b")["role"] == "master"
    assert harness.info("a")["master_port"] == 0


def comes_back_with_b(harness: Harness, master: str) -> None:
    """B goes on, and what it took survives under the master."""
    harness.servers["b"].resume()
    answers: list[str] = []
    harness.converge(harness.document(master), answers)
    assert holds(harness.clients[master], 50, "new"), answers
    assert not harness.wrong(master), answers


def copies_b_to_c(harness: Harness) -> None:
    """Makes c, which the dictator has left halted, a slave of b by hand, and fills b."""
    harness.clients["c"].replicaof("127.0.0.1", harness.proxies["b"].port)
    wait_until(lambda: harness.follows("c", "b"), "c follows b", PATIENCE)
    fill(harness.clients["b"], 50, "new")
    wait_until(lambda: holds(harness.clients["c"], 50, "new"), "c holds what b acknowledged", PATIENCE)


# V1: a target that would come back from a crash with less than it has acknowledged


@pytest.mark.parametrize("flavour", ["redis-6.2", "redis-7.0", "redis-8.2", "valkey-9.1"])
def test_v1_a_master_that_is_killed_right_after_its_promotion_comes_back_with_everything(
    group: Group, flavour: str
) -> None:
    group.add("a", flavour=flavour, config=DURABLE)
    # slow at writing its first append-only file, as one with much data is
    group.add("b", flavour=flavour, config=DURABLE | {"rdb-key-save-delay": "10000"})
    fill(group["a"], 300)
    answer = apply(group, "b", "a")
    assert answer.status in (200, 202), answer
    fill(group["b"], 50, "new")
    group.servers["b"].kill()
    group.servers["b"].start()
    assert group.replication("b")["role"] == "master"
    assert holds(group["b"], 300)
    assert holds(group["b"], 50, "new")
    group.is_led_by("b", "a")


def test_v1_a_target_that_is_not_durable_in_time_leaves_the_source_writable(group: Group) -> None:
    group.add("a", config=DURABLE)
    group.add("b", config=DURABLE | {"rdb-key-save-delay": "20000"})
    fill(group["a"], 300)
    answer = apply(group, "b", "a", sync_timeout=3)
    assert answer.status == 504, answer
    assert "rewrit" in answer.text
    assert group.replication("a")["role"] == "master"
    assert group["a"].set("still", "writable")


def test_v1_a_target_that_gets_a_full_copy_after_it_was_checked_is_not_promoted_before_that_is_on_disk(
    group: Group,
) -> None:
    """Its link broke, and the source's backlog was too small for what was written meanwhile."""
    group.add("a", config=DURABLE)
    group.add("b", config=DURABLE)
    fill(group["a"], 300)
    group.proxy("a", "b")
    group.follow("a", "b")
    assert apply(group, "a", "b").status == 200

    def resync() -> None:
        group["b"].config_set("rdb-key-save-delay", 10_000)
        group["b"].replicaof("NO", "ONE")
        group["b"].replicaof("127.0.0.1", group.proxies["a"].port)
        wait_until(lambda: group.follows("b", "a"), "b follows a again", PATIENCE)

    watcher = At("a", "SET", resync)
    for proxy in group.proxies.values():
        proxy.watch = watcher
    answer = apply(group, "b", "a")
    assert watcher.hit
    group["b"].config_set("rdb-key-save-delay", 0)
    if group.replication("b")["role"] == "master":
        fill(group["b"], 50, "new")
        group.servers["b"].kill()
        group.servers["b"].start()
        assert holds(group["b"], 50, "new"), answer
    assert holds(group["b"], 300), answer


# V2: a key count says nothing of history


@pytest.mark.parametrize("empty", ["popped", "flushed"])
def test_v2_what_was_consumed_on_a_new_master_stays_consumed_when_the_same_topology_comes_again(
    harness: Harness, empty: str
) -> None:
    harness.clients["a"].flushall()
    harness.clients["a"].rpush("queue", *range(100))
    assert applied(harness, "a")["status"] == 200
    dies_after_promoting_b(harness)
    if empty == "popped":
        assert len(harness.clients["b"].lpop("queue", 100) or []) == 100
    else:
        harness.clients["b"].flushall()
    answer = applied(harness, "b")
    assert answer["status"] in (200, 202), answer
    assert not harness.wrong("b")
    assert harness.clients["b"].llen("queue") == 0, "acknowledged pops are not undone"


def test_v2_a_master_that_came_back_empty_does_not_make_an_older_parked_one_the_source(harness: Harness) -> None:
    dies_after_promoting_b(harness)
    copies_b_to_c(harness)
    server, proxy = harness.servers["b"], harness.proxies["b"]
    server.kill()
    server.wipe()
    # under another port, as a container comes back: its slave does not find it there
    server.move(free_port())
    proxy.close()
    server.start()
    document = harness.document("b").replace(f'"port": {proxy.port}', f'"port": {server.port}')
    answer = harness.apply(document).result(PATIENCE)
    assert answer["status"] in (409, 503), answer
    assert holds(harness.clients["c"], 50, "new"), "the only copy of them"


# V3: a live master that the document no longer lists


@pytest.mark.parametrize("known", [True, False], ids=["applied before", "never applied"])
def test_v3_a_retired_master_and_its_copies_are_not_given_up_for_a_new_instance_with_one_key(
    trio: Group,
    known: bool,  # noqa: FBT001
) -> None:
    if known:
        assert apply(trio, "a", "b", "c").status == 200
    trio.add("d")
    trio["d"].set("own", "1")
    answer = apply(trio, "d", "b", "c")
    assert answer.status == 409, answer
    assert str(trio.servers["d"].port) in answer.text
    assert holds(trio["b"], 100)
    assert holds(trio["c"], 100)
    assert trio["d"].get("own") == "1"
    trio.is_led_by("a", "b", "c")


# V4: a stale DNS record leads to another cluster's instance


@pytest.fixture
def two_clusters(trio: Group) -> Group:
    """redis-1 is a, b and c; redis-2 is x, y and z. The first of each is its master."""
    trio.add("x", "y", "z")
    fill(trio["x"], 100, "foreign")
    trio.follow("x", "y", "z")
    assert apply(trio, "a", "b", "c").status == 200
    assert apply(trio, "x", "y", "z", cluster="redis-2").status == 200
    for master, slaves in (("a", "bc"), ("x", "yz")):
        for name in slaves:
            wait_until(partial(trio.follows, name, master), f"{name} has the record of {master}", PATIENCE)
    return trio


@pytest.mark.parametrize("force", [False, True], ids=["plain", "forced"])
def test_v4_a_foreign_slave_of_a_dead_master_keeps_its_data(two_clusters: Group, force: bool) -> None:  # noqa: FBT001
    two_clusters.servers["x"].kill()
    before = two_clusters.replication("y")
    answer = apply(two_clusters, "a", "b", "c", "y", force=force)
    assert answer.status in (202, 409), answer
    assert "redis-2" in answer.text
    assert two_clusters.replication("y")["master_port"] == before["master_port"]
    assert holds(two_clusters["y"], 100, "foreign")
    two_clusters.is_led_by("a", "b", "c")


@pytest.mark.parametrize("force", [False, True], ids=["plain", "forced"])
def test_v4_a_foreign_slave_of_a_live_master_stays_one(two_clusters: Group, force: bool) -> None:  # noqa: FBT001
    answer = apply(two_clusters, "a", "b", "c", "y", force=force)
    assert answer.status in (202, 409), answer
    assert "redis-2" in answer.text
    two_clusters.is_led_by("x", "y", "z")
    two_clusters.is_led_by("a", "b", "c")


@pytest.mark.parametrize("force", [False, True], ids=["plain", "forced"])
def test_v4_a_foreign_instance_is_never_made_the_master(two_clusters: Group, force: bool) -> None:  # noqa: FBT001
    answer = apply(two_clusters, "x", "a", "b", "c", force=force)
    assert answer.status in (409, 503), answer
    two_clusters.is_led_by("x", "y", "z")
    two_clusters.is_led_by("a", "b", "c")


def test_v4_a_foreign_master_that_was_just_flushed_stays_a_master(two_clusters: Group) -> None:
    two_clusters["x"].flushall()
    answer = apply(two_clusters, "a", "b", "c", "x")
    assert answer.status in (202, 409), answer
    two_clusters.is_led_by("x", "y", "z")
    two_clusters.is_led_by("a", "b", "c")


def test_v4_the_master_of_a_foreign_slave_does_not_become_our_source(two_clusters: Group) -> None:
    two_clusters.servers["a"].kill()
    answer = apply(two_clusters, "b", "c", "y")
    assert answer.status in (409, 503), answer
    assert holds(two_clusters["b"], 100)
    assert not two_clusters["b"].exists("foreign:1")
    two_clusters.is_led_by("x", "y", "z")


def test_v4_the_dictator_of_a_foreign_instance_can_go_on_with_its_work(two_clusters: Group) -> None:
    with closing(two_clusters.servers["y"].client(client_name=NAME, single_connection_client=True)) as theirs:
        before = theirs.client_id()
        answer = apply(two_clusters, "b", "a", "c", "y")
        assert answer.status == 202, answer
        assert "redis-2" in answer.text
        assert theirs.client_id() == before, "its connection was ended, and opened anew"
    two_clusters.is_led_by("b", "a", "c")
    two_clusters.is_led_by("x", "y", "z")


def test_v4_a_foreign_instance_is_asked_and_nothing_else(two_clusters: Group) -> None:
    two_clusters["y"].config_resetstat()
    assert apply(two_clusters, "b", "a", "c", "y").status == 202
    sent = {name.removeprefix("cmdstat_") for name in two_clusters["y"].info("commandstats")}
    assert sent <= {
        "info",
        "get",
        "config|get",
        "config",
        "pubsub|numsub",
        "pubsub",
        "ping",
        "replconf",
        "config|resetstat",
    }


# V5: a parked source is lifted although the target was promoted


def test_v5_a_slave_that_still_follows_the_source_does_not_prove_that_nobody_was_promoted(harness: Harness) -> None:
    with unreachable(harness, "c"):
        dies_after_promoting_b(harness)
    assert harness.info("c")["master_port"] == harness.proxies["a"].port
    fill(harness.clients["b"], 50, "new")
    harness.servers["b"].pause()
    answer = applied(harness, "a")
    assert answer["status"] == 503, answer
    assert str(harness.proxies["b"].port) in answer["line"]
    assert harness.info("a")["role"] == "slave", "b takes writes, and a must not"
    comes_back_with_b(harness, "a")


def test_v5_a_parked_source_does_not_overwrite_the_copy_of_a_dead_master_that_is_no_longer_listed(
    harness: Harness,
) -> None:
    dies_after_promoting_b(harness)
    copies_b_to_c(harness)
    harness.servers["b"].kill()
    answer = applied(harness, "a", "c")
    assert answer["status"] in (409, 503), answer
    assert holds(harness.clients["c"], 50, "new"), "the only copy of them"
    assert harness.info("a")["role"] == "slave"


def test_v5_a_halted_slave_does_not_prove_that_nobody_was_promoted(harness: Harness) -> None:
    dies_after_promoting_b(harness)
    assert harness.info("c")["master_host"] == "0.0.0.0"
    fill(harness.clients["b"], 50, "new")
    harness.servers["b"].pause()
    for topology in (("a", "c"), ("c", "a"), ("a",), ("c",)):
        answer = applied(harness, *topology)
        assert answer["status"] in (409, 503), (topology, answer)
        assert str(harness.proxies["b"].port) in answer["line"], (topology, answer)
    assert harness.info("a")["role"] == "slave", "b takes writes, and a must not"
    assert harness.info("c")["role"] == "slave", "b takes writes, and c must not"
    comes_back_with_b(harness, "c")


def test_v5_a_halted_slave_that_restarts_follows_the_source_again(harness: Harness) -> None:
    hit = killed_at(harness, harness.document("b"), At("a", "CLIENT PAUSE"))
    assert hit, "it lived long enough to be killed there"
    assert harness.info("c")["master_host"] == "0.0.0.0"
    fill(harness.clients["a"], 50, "new")
    harness.servers["c"].restart()
    wait_until(lambda: harness.follows("c", "a"), "c follows a", PATIENCE)
    wait_until(lambda: holds(harness.clients["c"], 50, "new"), "c holds what a acknowledged", PATIENCE)


# V6: an old source that comes back two switches later


def test_v6_an_old_source_that_missed_two_switches_comes_back_without_help(harness: Harness) -> None:
    dies_after_promoting_b(harness)
    with unreachable(harness, "a"):
        assert applied(harness, "b")["status"] == 202
        fill(harness.clients["b"], 50, "new")
        assert applied(harness, "c")["status"] == 202
    answers: list[str] = []
    harness.converge(harness.document("c"), answers)
    assert answers[-1].startswith("200"), answers
    assert not harness.wrong("c")
    assert holds(harness.clients["a"], 100)
    assert holds(harness.clients["a"], 50, "new")


# V7: two dictators at once


@pytest.mark.parametrize("command", ["REPLICAOF NO", "REPLICAOF 127.0.0.1"], ids=["promotion", "handover"])
def test_v7_a_command_of_a_run_that_another_has_overtaken_has_no_effect(harness: Harness, command: str) -> None:
    """The first dictator's command is held back until the second has made another instance the master."""
    writers = harness.write("raced", writers=2)
    harness.grows("a", "raced")
    second: Future[dict[str, Any]] = Future()
    name, times = ("b", 1) if command == "REPLICAOF NO" else ("a", 2)

    def overtake() -> None:
        if not second.done():
            second.set_result(applied(harness, "c"))

    harness.watch(At(name, command, overtake, times=times))
    first = harness.apply(harness.document("b")).result(2 * PATIENCE)
    harness.watch(None)
    answers = [f"first {first}", f"second {second.result(PATIENCE)}"]
    assert len(masters(harness.clients)) < 2, answers
    harness.converge(harness.document("c"), answers)
    outcome = harness.judge(f"V7 {command}", "c", writers, answers)
    assert not outcome.problems, outcome.problems


class Holds:
    """Holds the second dictator before it takes over, and the first before it promotes b, until they are let go."""

    def __init__(self) -> None:
        self.second_is_held: set[str] = set()
        self.second_may_go = threading.Event()
        self.first_is_held = threading.Event()
        self.first_may_go = threading.Event()
        self._first_has_begun = False

    def request(self, name: str, commands: tuple[str, ...]) -> bool:
        """See proxy.Watch."""
        if "CLIENT SETNAME" in commands and not self._first_has_begun:
            self.second_is_held.add(name)
            self.second_may_go.wait(PATIENCE)
        if "REPLICAOF NO" in commands and "DISCARD" not in commands and name == "b" and not self.first_is_held.is_set():
            self.first_is_held.set()
            self.first_may_go.wait(PATIENCE)
        return True

    def reply(self, name: str) -> bool:
        """See proxy.Watch."""
        return bool(name)

    def begin_first(self) -> None:
        """The next dictator is the first."""
        self._first_has_begun = True


def test_v7_a_target_that_the_second_document_does_not_list_is_not_promoted_behind_its_back(harness: Harness) -> None:
    """The second dictator has observed before the first wrote its intent, so that it learns of the target late."""
    writers = harness.write("raced", writers=2)
    harness.grows("a", "raced")
    holds = Holds()
    harness.watch(holds)
    second = harness.apply(harness.document("c", "a"), reply_timeout=PATIENCE)
    wait_until(lambda: holds.second_is_held == {"a", "c"}, "the second has observed", PATIENCE)
    holds.begin_first()
    first = harness.apply(harness.document("b"), reply_timeout=PATIENCE)
    assert holds.first_is_held.wait(PATIENCE)
    holds.second_may_go.set()
    answers = [f"second {second.result(2 * PATIENCE)}"]
    holds.first_may_go.set()
    answers.append(f"first {first.result(2 * PATIENCE)}")
    harness.watch(None)
    assert len(masters(harness.clients)) < 2, answers
    harness.converge(harness.document("c"), answers)
    outcome = harness.judge("V7 unlisted", "c", writers, answers)
    assert not outcome.problems, outcome.problems


def test_v7_a_cycle_without_any_master_is_healed_without_force(trio: Group) -> None:
    assert apply(trio, "a", "b", "c").status == 200
    for name in "bc":
        wait_until(partial(has_record, trio, name), f"{name} has the record", PATIENCE)
    for slave, master in (("b", "c"), ("a", "b")):
        trio[slave].replicaof(trio.servers[master].host, trio.servers[master].port)
    wait_until(lambda: not masters({name: trio[name] for name in "abc"}), "nobody is a master", PATIENCE)
    answer = apply(trio, "b", "a", "c")
    assert answer.status in (200, 202), answer
    trio.is_led_by("b", "a", "c")
    assert holds(trio["b"], 100)


# V8: a role that is not on disk


def test_v8_a_source_that_can_not_save_its_role_is_not_fenced(trio: Group) -> None:
    file = trio.servers["a"].directory / "redis.conf"
    kept = file.rename(file.with_suffix(".kept"))
    file.mkdir()  # CONFIG REWRITE fails now, as in a read-only folder, which root doesn't know
    answer = apply(trio, "b", "a", "c")
    trio.servers["a"].kill()
    file.rmdir()
    kept.rename(file)
    trio.servers["a"].start()
    assert len(masters({name: trio[name] for name in "ab"})) == 1, answer
    assert answer.status == 409, answer
    assert str(trio.servers["a"].port) in answer.text


# V9: what force keeps


def test_v9_force_keeps_the_promoted_master_rather_than_the_parked_old_one(harness: Harness) -> None:
    dies_after_promoting_b(harness)
    fill(harness.clients["b"], 200, "new")
    # its replication id is lost with the restart, so that nothing proves any more which history it belongs to
    harness.servers["a"].kill()
    harness.servers["a"].start()
    answer = applied(harness, "a", force=True)
    assert answer["status"] in (200, 202), answer
    answers = [str(answer)]
    harness.converge(harness.document("a"), answers)
    assert holds(harness.clients["a"], 200, "new"), answers
    assert not harness.wrong("a"), answers


def test_v9_force_keeps_what_a_master_took_under_a_new_address_rather_than_its_copies(group: Group) -> None:
    """The document gives addresses, not names, so that nothing tells who the master under the new port is."""
    group.add("a", "b", "c", config=DURABLE)
    fill(group["a"])
    group.follow("a", "b", "c")
    assert apply(group, "a", "b", "c").status == 200
    group.servers["a"].kill()
    group.servers["a"].move(free_port())
    group.servers["a"].start()
    fill(group["a"], 50, "new")
    answer = apply(group, "b", "a", "c", force=True)
    assert answer.status in (200, 202), answer
    assert holds(group["b"], 100)
    assert holds(group["b"], 50, "new"), answer
    group.is_led_by("b", "a", "c")


# V10: surprises on the way


def test_v10_an_unexpected_reply_at_the_promotion_does_not_make_two_masters(harness: Harness) -> None:
    harness.proxies["b"].mangle = partial(mangled, harness.proxies["b"])
    watcher = At("b", "REPLICAOF NO", lambda: None)
    harness.watch(watcher)
    answer = applied(harness, "b")
    harness.watch(None)
    harness.proxies["b"].mangle = None
    assert watcher.hit
    assert len(masters(harness.clients)) < 2, answer
    answers = [str(answer)]
    harness.converge(harness.document("b"), answers)
    assert not harness.wrong("b"), answers


def mangled(proxy: Any, reply: bytes) -> bytes:
    """The first reply of a master loses a field, as an unknown version's might."""
    if b"role:master" not in reply:
        return reply
    proxy.mangle = None
    return reply.replace(b"role:", b"rule:")


def test_v10_giving_up_a_fence_does_not_make_a_master_of_what_has_become_a_slave(harness: Harness) -> None:
    def become_slave_of_c() -> None:
        harness.clients["c"].replicaof("NO", "ONE")
        harness.clients["c"].set("own", "write")
        harness.clients["a"].replicaof("127.0.0.1", harness.proxies["c"].port)
        harness.clients["a"].execute_command("CLIENT", "UNPAUSE")
        wait_until(lambda: harness.follows("a", "c"), "a follows c", PATIENCE)

    watcher = At("a", "REPLICAOF 127.0.0.1", become_slave_of_c)
    watcher.then = lambda: masters_seen.append(masters(harness.clients))
    masters_seen: list[list[str]] = []
    harness.watch(watcher)
    answer = applied(harness, "b")
    harness.watch(None)
    assert masters_seen, "more was sent after the fence"
    assert max(map(len, masters_seen)) < 2, (masters_seen, answer)
    serving = masters(harness.clients)
    assert harness.clients[serving[0] if serving else "c"].get("own") == "write", answer


# V11: a new master that can't take writes, and one that can't be switched


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
def test_v11_a_target_with_too_little_memory_is_refused_before_the_pause(trio: Group, policy: str) -> None:
    trio["a"].mset({f"large:{number}": "x" * 100_000 for number in range(100)})
    trio["b"].config_set("maxmemory-policy", policy)
    trio["b"].config_set("maxmemory", 5_000_000)
    answer = apply(trio, "b", "a", "c")
    assert answer.status == 409, answer
    assert "maxmemory" in answer.text
    assert not paused(trio["a"])
    trio.is_led_by("a", "b", "c")


def test_v11_a_target_that_evicts_where_the_source_does_not_is_refused(trio: Group) -> None:
    trio["b"].config_set("maxmemory", 1 << 30)
    trio["b"].config_set("maxmemory-policy", "allkeys-lru")
    answer = apply(trio, "b", "a", "c")
    assert answer.status == 409, answer
    assert "allkeys-lru" in answer.text
    assert not paused(trio["a"])
    trio.is_led_by("a", "b", "c")


def test_v11_a_command_that_the_target_does_not_allow_is_found_before_the_pause(trio: Group) -> None:
    trio["b"].acl_setuser("default", enabled=True, nopass=True, commands=["-replicaof"])
    answer = apply(trio, "b", "a", "c")
    assert answer.status == 409, answer
    assert "replicaof" in answer.text.lower()
    assert not paused(trio["a"])
    trio.is_led_by("a", "b", "c")


def paused(client: "redis.Redis") -> bool:
    """Whether writes were ever held back here."""
    return any("pause" in name and "unpause" not in name for name in client.info("commandstats"))
