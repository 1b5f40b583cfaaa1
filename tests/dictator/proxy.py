"""TCP proxies in front of the instances: they count, hold and drop what the dictator sends, and cut replication links.

Addresses in the topology are those of the proxies, so that what redis reports of its slaves is wrong everywhere, as it
is behind published ports. What slaves send to their master passes uncounted.
"""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from sandbox.proxy import Conversation, Proxy

READS = {"INFO", "CONFIG GET", "PUBSUB NUMSUB", "GET", "CLIENT LIST", "CLIENT ID"}


class Watch(Protocol):
    """Is asked about all that passes between the dictator and an instance; False: drop it, and reset the connection."""

    def request(self, name: str, commands: tuple[str, ...]) -> bool:
        """A group of commands is on its way to the instance."""

    def reply(self, name: str) -> bool:
        """The instance has answered."""


def commands(chunk: bytes) -> tuple[str, ...]:
    """The commands of a pipelined group, without their arguments but for subcommands: `CONFIG GET`."""
    names = []
    parts = chunk.split(b"\r\n")
    at = 0
    while at < len(parts) and parts[at].startswith(b"*"):
        count = int(parts[at][1:])
        words = [parts[at + 2 + 2 * place].decode() for place in range(count)]
        several = words[0] in ("CONFIG", "CLIENT", "PUBSUB", "REPLICAOF")
        names.append(" ".join(words[: 2 if several else 1]))
        at += 1 + 2 * count
    return tuple(names)


@dataclass
class Gate:
    """Counts groups of commands, and calls `act` once: before group `at` is passed on, or `after` it was answered.

    `act` says whether the chunk is passed on. A group that only reads is counted once between two that change
    something: how often a condition is polled is left to chance. With `only_changes`, it is not counted at all.
    """

    at: int = 0
    after: bool = False
    act: Callable[[], bool] = lambda: True
    only_changes: bool = False
    groups: list[str] = field(default_factory=list)
    hit: str = ""
    acted: threading.Event = field(default_factory=threading.Event)
    _seen: set[str] = field(default_factory=set)
    _armed: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(self, name: str, commands: tuple[str, ...]) -> bool:
        """See Watch."""
        label = f"{name} {' + '.join(commands)}"
        with self._lock:
            if set(commands) <= READS:
                if self.only_changes or label in self._seen:
                    return True
                self._seen.add(label)
            else:
                self._seen.clear()
            self.groups.append(label)
            if len(self.groups) != self.at:
                return True
            self.hit = label
            if self.after:
                self._armed = name
                return True
        return self._once()

    def reply(self, name: str) -> bool:
        """See Watch."""
        with self._lock:
            if self._armed != name:
                return True
            self._armed = ""
        return self._once()

    def _once(self) -> bool:
        passes = self.act()
        self.acted.set()
        return passes


class InstanceProxy(Proxy):
    """A proxy to one instance. Replication links are carried, cut or hushed; all else is shown to `watch`."""

    def __init__(self, name: str, host: str, port: int) -> None:
        self.name = name
        self.watch: Watch | None = None
        self.mangle: Callable[[bytes], bytes] | None = None
        self.links_up = threading.Event()
        self.links_up.set()
        self.refuses_links = False
        super().__init__(port, host, self._start)

    def _start(self, client: socket.socket, server: socket.socket) -> Conversation:
        return _Commands(self, client, server)

    def cut_links(self) -> None:
        """Breaks the replication links to this instance, and refuses new ones."""
        self.refuses_links = True
        for conversation in self.conversations:
            if isinstance(conversation, _Commands) and conversation.is_link:
                conversation.abort()

    def hush(self) -> None:
        """Lets replication links to this instance stand, but carries nothing any more."""
        self.links_up.clear()

    def mend(self) -> None:
        """Undoes cut_links() and hush()."""
        self.refuses_links = False
        self.links_up.set()

    def close(self) -> None:
        """Takes no more connections; those that are open end with their peers."""
        super().close()
        self.mend()


class _Commands(Conversation):
    """A slave's replication link begins with PING; it passes uncounted."""

    def __init__(self, proxy: InstanceProxy, client: socket.socket, server: socket.socket) -> None:
        super().__init__(client, server)
        self._proxy = proxy
        self._first = True
        self.is_link = False

    def request(self, chunk: bytes) -> bytes:
        if self._first:
            self._first = False
            self.is_link = commands(chunk) == ("PING",)
            if self.is_link and self._proxy.refuses_links:
                return b""
        watch = self._proxy.watch
        if self.is_link:
            self._proxy.links_up.wait()
        elif watch is not None and not watch.request(self._proxy.name, commands(chunk)):
            self.abort()
            return b""
        return chunk

    def reply(self, chunk: bytes) -> bytes:
        watch = self._proxy.watch
        if self.is_link:
            self._proxy.links_up.wait()
        elif watch is not None and not watch.reply(self._proxy.name):
            self.abort()
            return b""
        mangle = self._proxy.mangle
        return chunk if self.is_link or mangle is None else mangle(chunk)
