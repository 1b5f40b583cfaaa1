"""Clients of every kind, each a thread that goes round the known addresses, and says afterwards what must hold.

Of each write it keeps whether it was acknowledged, refused, or not answered; the last may be there or not.
"""

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis

from tests.dictator.group import Group

LUA = "for i = 1, #KEYS do redis.call('RPUSH', KEYS[i], ARGV[1]) end return #KEYS"
MEGABYTE = "x" * (1 << 20)


class Client(threading.Thread):
    """Calls `act` with a value of its own over and over. `act` raises what the server or the connection raised."""

    def __init__(self, group: Group, names: str, kind: str) -> None:
        super().__init__(name=kind)
        self.acked: set[str] = set()
        self.refused: set[str] = set()
        self.popped: set[str] = set()
        self.lost_pops = 0
        self._clients = itertools.cycle([group[name] for name in names])
        self._stop_it = threading.Event()
        self._act = ACTS[kind]

    def run(self) -> None:
        """See Thread."""
        client = next(self._clients)
        while not self._stop_it.is_set():
            value = f"{self.name}:{uuid.uuid4()}"
            try:
                self._act(self, client, value)
            except redis.ResponseError:
                self.refused.add(value)
                client = next(self._clients)
                time.sleep(0.001)
            except redis.RedisError:
                client = next(self._clients)

    def finish(self) -> None:
        """Ends it."""
        self._stop_it.set()
        self.join()


def lua(self: Client, client: "redis.Redis", value: str) -> None:
    client.eval(LUA, 2, "lua:1", "lua:2", value)
    self.acked.add(value)


def multi(self: Client, client: "redis.Redis", value: str) -> None:
    with client.pipeline(transaction=True) as pipe:
        pipe.rpush("multi:1", value)
        pipe.rpush("multi:2", value)
        pipe.execute()
    self.acked.add(value)


def pipelined(self: Client, client: "redis.Redis", value: str) -> None:
    values = [f"{value}:{item}" for item in range(50)]
    with client.pipeline(transaction=False) as pipe:
        for item in values:
            pipe.rpush("pipelined", item)
        replies = pipe.execute(raise_on_error=False)
    for item, reply in zip(values, replies, strict=True):
        (self.refused if isinstance(reply, redis.ResponseError) else self.acked).add(item)
    if any(isinstance(reply, redis.ResponseError) for reply in replies):
        raise redis.ResponseError("some were refused")


def large(self: Client, client: "redis.Redis", value: str) -> None:
    client.set(f"large:{value}", value + MEGABYTE)
    client.rpush("large", value)
    self.acked.add(value)
    time.sleep(0.02)


def lasting(self: Client, client: "redis.Redis", value: str) -> None:
    client.set(f"brief:{value}", value, px=5)
    client.set(f"lasting:{value}", value, px=3_600_000)
    self.acked.add(value)


def push(self: Client, client: "redis.Redis", value: str) -> None:
    client.rpush("queue", value)
    self.acked.add(value)
    time.sleep(0.001)


def pop(self: Client, client: "redis.Redis", _: str) -> None:
    try:
        reply = client.blpop(["queue"], timeout=0.5)
    except redis.ResponseError:
        raise
    except redis.RedisError:
        self.lost_pops += 1
        raise
    if reply is not None:
        self.popped.add(str(reply[1]))


ACTS: dict[str, Callable[[Client, "redis.Redis", str], None]] = {
    "lua": lua,
    "multi": multi,
    "pipelined": pipelined,
    "large": large,
    "lasting": lasting,
    "push": push,
    "pop": pop,
}


@contextmanager
def under_way(group: Group, names: str, kinds: str) -> Iterator[dict[str, Client]]:
    """Clients of these kinds are at work; when it ends, each has come to its end, too."""
    clients = {kind: Client(group, names, kind) for kind in kinds.split()}
    for client in clients.values():
        client.start()
    try:
        yield clients
    finally:
        for client in clients.values():
            client.finish()
