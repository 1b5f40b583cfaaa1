"""Instances that change between two steps of a run, and commands that must not arrive late.

Whatever became a master with writes of its own after it was observed is never overwritten.
"""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from dictator.connection import Access
from dictator.instance import Instance
from dictator.link import NoAnswer
from dictator.redis_link import RedisLink
from safe_redis.errors import Interrupted, Refused
from sandbox.process import wait_until
from tests.dictator.group import Group, fill
from tests.dictator.proxy import Gate
from tests.dictator.sweep import FLAVOURS

# longer than a restart takes: else the dictator asks the old master once more because so much time has passed
PAUSE = 30.0
# the first REPLICAOF NO ONE that the target is sent is the rehearsal of its rights
PROMOTION = 2
# the old master is unpaused when its rights are rehearsed, when the intent is written, and first of all at the handover
HANDOVER = 3


class At:
    """Does something once, just before a group is passed on, or `after` it was answered: the n-th with a command."""

    def __init__(
        self, name: str, command: str, act: Callable[[], object], times: int = 1, *, after: bool = False
    ) -> None:
        self._wanted = (name, command)
        self._act = act
        self._left = times
        self._after = after
        self._armed = False

    def request(self, name: str, commands: tuple[str, ...]) -> bool:
        """See proxy.Watch."""
        if name == self._wanted[0] and self._wanted[1] in commands:
            self._left -= 1
            if self._left == 0 and self._after:
                self._armed = True
            elif self._left == 0:
                self._act()
        return True

    def reply(self, name: str) -> bool:
        """See proxy.Watch."""
        if self._armed and name == self._wanted[0]:
            self._armed = False
            self._act()
        return True


def watch(group: Group, watcher: At | Gate) -> None:
    for proxy in group.proxies.values():
        proxy.watch = watcher


def restart_as_master(group: Group, name: str) -> None:
    """As a container without a config volume does: it comes back as a master, with its data, and takes a write."""
    wait_until(
        lambda: group[name].info("persistence")["rdb_bgsave_in_progress"] == 0, "no snapshot is under way", PAUSE
    )
    group[name].save()
    group.servers[name].kill()
    config = group.servers[name].directory / "redis.conf"
    kept = [line for line in config.read_text().splitlines() if not line.startswith("replicaof")]
    config.write_text("\n".join(kept) + "\n")
    group.servers[name].start()
    group[name].set("own", "write")


def test_keeps_what_a_slave_wrote_that_became_a_master_in_the_middle_of_a_switch(proxied: Group) -> None:
    def become_master() -> None:
        proxied["c"].replicaof("NO", "ONE")
        proxied["c"].set("own", "write")

    watch(proxied, At("a", "CLIENT PAUSE", become_master))
    proxied.apply("b", "a", "c")
    assert proxied["b"].get("own") == "write", "it had all that the others had, and that write"
    proxied.is_led_by("b", "a", "c")


def test_does_not_overwrite_a_slave_that_became_a_master_when_the_new_one_took_writes_too(proxied: Group) -> None:
    def become_master() -> None:
        proxied["c"].replicaof("NO", "ONE")
        proxied["c"].set("own", "write")
        proxied["b"].set("new", "write")

    watch(proxied, At("b", "REPLICAOF NO", become_master, times=PROMOTION, after=True))
    with pytest.raises(Refused, match=rf":{proxied.proxies['c'].port}: master, 101 keys"):
        proxied.apply("b", "a", "c")
    assert proxied["c"].get("own") == "write"
    proxied.is_led_by("b", "a")


def test_a_slave_that_hangs_amid_a_handover_keeps_no_client_from_the_new_master(proxied: Group) -> None:
    hanging, new_port = proxied.servers["c"].process, proxied.proxies["b"].port
    watch(proxied, At("a", "CLIENT UNPAUSE", hanging.pause, times=HANDOVER))
    with ThreadPoolExecutor(1) as pool:
        applied = pool.submit(proxied.apply, "b", "a", "c", reply_timeout=PAUSE)
        try:
            wait_until(
                lambda: proxied.replication("a").get("master_port") == new_port, "a names the new one", PAUSE / 2
            )
            assert not applied.done(), "c still hangs"
        finally:
            hanging.resume()
        assert applied.result().changed
    proxied.is_led_by("b", "a", "c")


def test_does_not_overwrite_an_old_master_that_came_back_writable_after_the_promotion(proxied: Group) -> None:
    came_back = threading.Event()

    def come_back() -> None:
        proxied["b"].set("new", "write")
        restart_as_master(proxied, "a")
        came_back.set()

    watch(proxied, At("a", "REPLICAOF 127.0.0.1", come_back, times=2))
    outcomes = []
    try:
        outcomes.append(proxied.apply("b", "a", "c", pause_timeout=PAUSE).open)
    except Refused as refused:  # it came back before the switch was over
        outcomes.append(str(refused))
    assert came_back.wait(PAUSE)
    assert f":{proxied.proxies['a'].port}" in outcomes[0]
    with pytest.raises(Refused, match=rf":{proxied.proxies['a'].port}: master, 101 keys"):
        proxied.apply("b", "a", "c")
    assert proxied["a"].get("own") == "write"
    proxied.is_led_by("b", "c")


def test_does_not_overwrite_what_an_empty_master_took_after_it_was_observed(proxied: Group) -> None:
    """It has no backlog, so that its offset doesn't show the write, and stays at a place that the source has passed."""
    proxied["c"].save()
    proxied.servers["c"].kill()
    proxied.proxies["a"].cut_links()
    proxied.servers["c"].start()
    proxied["c"].replicaof("NO", "ONE")
    proxied["c"].flushall()
    proxied.proxies["a"].mend()
    assert proxied.replication("c")["repl_backlog_active"] == 0
    watch(proxied, At("c", "REPLICAOF 127.0.0.1", lambda: proxied["c"].set("own", "write")))
    with pytest.raises(Refused, match=rf":{proxied.proxies['c'].port}: master, 1 keys"):
        proxied.apply("a", "b", "c")
    assert proxied["c"].get("own") == "write"
    assert proxied["c"].set("still", "writable")
    proxied.is_led_by("a", "b")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_does_not_overwrite_what_an_old_master_took_after_an_orderly_restart(group: Group, flavour: str) -> None:
    """It was stopped in good order, so that it may still know the place at which the others' history left its own."""
    group.add("a", "b", "c", flavour=flavour, config={"save": "3600 1"})
    fill(group["a"])
    group.follow("a", "b", "c")
    group.servers["a"].stop()
    group.apply("b", "a", "c", force=True, follow_timeout=30)
    group["b"].set("new", "write")
    group.servers["a"].start()
    group["a"].set("own", "write")
    with pytest.raises(Refused, match=rf":{group.servers['a'].port}: master, 101 keys"):
        group.apply("b", "a", "c")
    assert group["a"].get("own") == "write"
    group.is_led_by("b", "c")


def test_leaves_the_source_fenced_when_the_target_comes_back_empty_from_its_promotion(proxied: Group) -> None:
    came_back = threading.Event()

    def restart_empty() -> None:
        proxied.servers["b"].kill()
        proxied.servers["b"].wipe()
        proxied.servers["b"].start()
        came_back.set()

    watch(proxied, At("b", "REPLICAOF NO", restart_empty, times=PROMOTION))
    with pytest.raises(Interrupted, match="it may be the master now"):
        proxied.apply("b", "a", "c", pause_timeout=PAUSE)
    assert came_back.wait(PAUSE)
    watch(proxied, Gate())
    with pytest.raises(Refused, match=rf":{proxied.proxies['b'].port}: slave, 0 keys.*It has lost its disk"):
        proxied.apply("b", "a", "c")
    assert proxied.keys("a") == 100
    receipt = proxied.apply("b", "a", "c", force=True, sync_timeout=30, follow_timeout=30)
    assert "lost its disk" in receipt.discarded[0]
    proxied.is_led_by("b", "a", "c")
    assert proxied.keys("b") == 101


def test_a_stopped_target_that_promotes_itself_late_is_recognised(proxied: Group) -> None:
    watch(proxied, At("b", "REPLICAOF NO", proxied.servers["b"].pause, times=PROMOTION))
    with pytest.raises(Interrupted, match="it may be the master now"):
        proxied.apply("b", "a", "c", reply_timeout=0.4)
    watch(proxied, Gate())
    assert proxied.replication("a")["master_port"] == 0, "whoever may have been promoted must stay the only one"
    proxied.servers["b"].resume()
    proxied["b"].set("new", "write")
    proxied.apply("a", "b", "c")
    assert proxied["a"].get("new") == "write"
    proxied.is_led_by("a", "b", "c")


def link_to(port: int) -> RedisLink:
    return RedisLink(Instance("it", "127.0.0.1", port), Access(reply_timeout=0.5))


def test_a_command_that_was_given_up_is_taken_back_and_not_delivered_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = link_to(server.getsockname()[1])
        with pytest.raises(NoAnswer):
            # more than the peer takes without reading: the rest waits here, as everything does during a partition
            link.send(("SET", "key", "x" * 50_000_000))
        peer, _ = server.accept()
        with peer, pytest.raises(ConnectionResetError):
            read_all(peer)


def read_all(peer: socket.socket) -> None:
    while peer.recv(1 << 20):
        pass


def test_no_command_reaches_an_instance_that_restarted_since_it_was_asked(group: Group) -> None:
    group.add("a")
    link = link_to(group.servers["a"].port)
    link.send(("PING",))
    group.servers["a"].restart()
    with pytest.raises(NoAnswer):
        link.send(("REPLICAOF", "127.0.0.1", 0))
    assert group.replication("a")["role"] == "master"
    link.send(("PING",))
    link.close()
