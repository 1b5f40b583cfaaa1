"""Writers in a process of their own: `python -m bench.writers` with its order as JSON in the first argument.

Each writer pushes one value after the other onto a list, with a pause of `interval` seconds after each ack, and notes
what it was told. It knows the next master: after an
error it goes there and stays. With a Sentinel to follow, it stays where it is until +switch-master names another. The
report goes to stdout when a line comes in on stdin, or that closes. Only the standard library, so that it starts at
once; one thread, so that no other holds it up.
"""

import gc
import json
import os
import select
import socket
import sys
import time
from typing import Any

from bench.resp import packed

# after a refusal at the new place, in seconds; epoll counts in ms
PAUSE = 0.001


class Writer:
    """One closed loop: the next write is sent when the last one is answered."""

    def __init__(self, number: int, order: dict[str, Any], poller: select.epoll, report: dict[str, Any]) -> None:
        self._number = number
        self._instances = [(host, int(port)) for host, port in order["instances"]]
        self._key = order["key"]
        self._interval: float = order["interval"]
        self._follows = order["sentinel"] is not None
        self._poller = poller
        self._report = report
        self._sequence = 0
        self._value = ""
        self.at: int = order["old"]
        self._next: int = order["next"]
        self.socket: socket.socket | None = None
        self.due = 0.0
        self.acked = 0

    def write(self) -> None:
        """Send the next value; opens the connection if there is none."""
        self.due = 0.0
        self._sequence += 1
        self._value = f"{self._number}-{self._sequence}"
        try:
            if self.socket is None:
                self.socket = socket.create_connection(self._instances[self.at], timeout=5)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._poller.register(self.socket, select.EPOLLIN)
            self.socket.sendall(packed("RPUSH", self._key, self._value))
        except OSError:
            self._broken()

    def answered(self) -> bool:
        """Takes the answer in; whether the next write may be sent at once."""
        try:
            reply = self.socket.recv(4096) if self.socket else b""
        except OSError:
            reply = b""
        if not reply:
            self._broken()
        elif reply[:1] == b":":
            self._report["acks"].append((time.monotonic(), self.at, self._value))
            self.acked += 1
            self.due = time.monotonic() + self._interval if self._interval else 0.0
            return not self.due
        else:
            self._report["refused"].append(self._value)
            return self._moves()
        return False

    @property
    def waiting(self) -> bool:
        """Whether a write is on its way."""
        return self.socket is not None and not self.due

    def follow(self, instance: int) -> None:
        """Write there from now on. The answer of a write that is on its way is not waited for."""
        if self.waiting:
            self._report["unknown"].append(self._value)
        self._close()
        self.at = instance
        self.write()

    def _moves(self) -> bool:
        if not self._follows and self.at != self._next:
            self._close()
            self.at = self._next
            return True
        self.due = time.monotonic() + PAUSE
        return False

    def _broken(self) -> None:
        self._report["unknown"].append(self._value)
        self._close()
        if not self._follows:
            self.at = self._next
        self.due = time.monotonic() + PAUSE

    def _close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class Sentinel:
    """Reads +switch-master off a Sentinel."""

    def __init__(self, address: tuple[str, int], poller: select.epoll) -> None:
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.sendall(packed("SUBSCRIBE", "+switch-master"))
        self.socket.recv(4096)
        poller.register(self.socket, select.EPOLLIN)

    def switched(self) -> tuple[str, int] | None:
        """The new master's address."""
        words = self.socket.recv(4096).decode().split("\r\n")
        if len(words) < 7:
            return None
        *_, host, port = words[6].split()
        return host, int(port)


class Crew:
    """All writers, and what they wait for."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._report: dict[str, Any] = {"acks": [], "refused": [], "unknown": []}
        self._poller = select.epoll()
        self._poller.register(0, select.EPOLLIN | select.EPOLLHUP)
        self._sentinel = Sentinel(tuple(order["sentinel"]), self._poller) if order["sentinel"] else None
        self._writers = [Writer(number, order, self._poller, self._report) for number in range(order["writers"])]
        self._told: set[str] = set()
        self._ending: float | None = None

    def run(self) -> dict[str, Any]:
        """Write until told to stop; what was acknowledged (time, instance, value), refused, and left open."""
        for each in self._writers:
            each.write()
        while self._ending is None or (any(each.waiting for each in self._writers) and time.monotonic() < self._ending):
            for descriptor, _ in self._poller.poll(PAUSE):
                if not self._take(descriptor):
                    break
            self._late()
            self._tell()
        return self._report

    def _take(self, descriptor: int) -> bool:
        """One event; False where the other events of its batch may be about sockets that are closed by now."""
        if descriptor == 0:
            self._poller.unregister(0)
            self._ending = time.monotonic() + 2
            return True
        if self._sentinel is not None and descriptor == self._sentinel.socket.fileno():
            address = self._sentinel.switched()
            for each in self._writers if address else ():
                each.follow(self._order["instances"].index(list(address or ())))
            return False
        for each in self._writers:
            if each.socket is not None and each.socket.fileno() == descriptor:
                if each.answered() and self._ending is None:
                    each.write()
                elif self._ending is not None:
                    each.due = self._ending
                break
        return True

    def _late(self) -> None:
        now = time.monotonic()
        for each in self._writers:
            if each.due and each.due <= now and self._ending is None:
                each.write()

    def _tell(self) -> None:
        acks = self._report["acks"]
        if "writing" not in self._told and all(each.acked for each in self._writers):
            self._say("writing")
        if "moved" not in self._told and acks and acks[-1][1] != self._order["old"]:
            self._say("moved")

    def _say(self, word: str) -> None:
        self._told.add(word)
        os.write(1, f"{word}\n".encode())


if __name__ == "__main__":
    gc.disable()
    outcome = Crew(json.loads(sys.argv[1])).run()
    sys.stdout.write(json.dumps(outcome) + "\n")
