"""The ordering of 2014: a min-slaves fence, polls every 0.1 s, messages to confirm links, one slave after another.

Written from its description, for comparison only. Its mistakes are kept: the fence is a setting, which a crash leaves
behind; the master is asked how far a slave has come, but hears of it only once a second; and the target is assumed to
be a slave that is in sync.
"""

import time
from collections.abc import Callable, Sequence

from bench.resp import Connection

Address = tuple[str, int]
POLL = 0.1
FENCE = 1_000_000
CHANNEL = "ordering-2014"
SETTING = "min-slaves-to-write"
GIVES_UP = 30.0


def switch(old: Address, new: Address, others: Sequence[Address]) -> None:
    """Fence the old master, wait for its slaves, promote the new one, and make all others its slaves."""
    source, target = Connection(*old), Connection(*new)
    original = source.send(("CONFIG", "GET", SETTING))[0][1]
    source.send(("CONFIG", "SET", SETTING, FENCE))
    _poll(lambda: _caught_up(source.info()), "the slaves have caught up")
    target.send(("SLAVEOF", "NO", "ONE"), ("CONFIG", "REWRITE"))
    for address in (old, *others):
        slave = Connection(*address)
        slave.send(("SLAVEOF", *new))
        _confirm(target, address)
        slave.send(("CONFIG", "REWRITE"))
        slave.close()
    source.send(("CONFIG", "SET", SETTING, original), ("CONFIG", "REWRITE"))
    source.close()
    target.close()


def _caught_up(info: dict[str, str]) -> bool:
    """Whether the master lists every slave with its own offset: `slave0:ip=...,offset=70,lag=1`."""
    slaves = [info[f"slave{number}"] for number in range(int(info["connected_slaves"]))]
    offsets = [dict(pair.split("=") for pair in slave.split(","))["offset"] for slave in slaves]
    return all(offset == info["master_repl_offset"] for offset in offsets)


def _confirm(master: Connection, slave: Address) -> None:
    """Publish at the master until it arrives at the slave."""
    listener = Connection(*slave, timeout=POLL)
    listener.send(("SUBSCRIBE", CHANNEL))

    def arrived() -> bool:
        master.send(("PUBLISH", CHANNEL, "confirm"))
        try:
            listener.receive()
        except TimeoutError:
            return False
        return True

    _poll(arrived, "a message from the master has arrived at the slave", pause=0)
    listener.close()


def _poll(condition: Callable[[], bool], what: str, pause: float = POLL) -> None:
    deadline = time.monotonic() + GIVES_UP
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"gave up after waiting {GIVES_UP:g} s until {what}")
        time.sleep(pause)
