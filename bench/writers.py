"""Writers, as a process: `python -m bench.writers ORDER`, with the order as JSON.

Each writer pushes one value after another onto a list, pauses `interval` seconds after each ack, and records each
answer. It knows the next master: after an error it goes there and stays. With a Sentinel to follow, it stays where it
is until +switch-master names another instance. The report is printed when a line arrives on stdin, or stdin is closed.
It uses the standard library only, to start quickly, and a single thread, so that nothing delays it.
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

# seconds to wait after a refusal by the next master; epoll counts in ms
PAUSE = 0.001


class Writer:
    """A closed loop: the next write is sent when the last one has been answered."""

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
        """Send the next value, on a new connection if there is none."""
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
        """Read the answer. Returns whether the next write may be sent at once."""
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
        """Whether a write is waiting for its answer."""
        return self.socket is not None and not self.due

    def follow(self, instance: int) -> None:
        """Write to another instance from now on. The answer to a pending write is not waited for."""
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
    """A subscription to +switch-master at a Sentinel."""

    def __init__(self, address: tuple[str, int], poller: select.epoll) -> None:
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.sendall(packed("SUBSCRIBE", "+switch-master"))
        self.socket.recv(4096)
        poller.register(self.socket, select.EPOLLIN)

    def switched(self) -> tuple[str, int] | None:
        """The new master's address, None if the message is another one."""
        words = self.socket.recv(4096).decode().split("\r\n")
        if len(words) < 7:
            return None
        *_, host, port = words[6].split()
        return host, int(port)


class Crew:
    """All writers, and the poller that they wait on."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._report: dict[str, Any] = {"acks": [], "refused": [], "unknown": []}
        self._poller = select.epoll()
        self._poller.register(0, select.EPOLLIN | select.EPOLLHUP)
        self._sentinel = Sentinel(tuple(order["sentinel"]), self._poller) if order["sentinel"] else None
        self._writers = [Writer(number, order, self._poller, self._report) for number in range(order["writers"])]
        self._said: set[str] = set()
        self._ending: float | None = None

    def run(self) -> dict[str, Any]:
        """Write until stdin ends. Returns what was acknowledged (time, instance, value), refused, and left open."""
        for writer in self._writers:
            writer.write()
        while self._ending is None or (self._is_waiting and time.monotonic() < self._ending):
            for descriptor, _ in self._poller.poll(PAUSE):
                if not self._take(descriptor):
                    break
            self._write_due()
            self._report_progress()
        return self._report

    @property
    def _is_waiting(self) -> bool:
        return any(writer.waiting for writer in self._writers)

    def _take(self, descriptor: int) -> bool:
        """Handle one event. False if the rest of its batch may be about sockets that are closed now."""
        if descriptor == 0:
            self._poller.unregister(0)
            self._ending = time.monotonic() + 2
            return True
        if self._sentinel is not None and descriptor == self._sentinel.socket.fileno():
            address = self._sentinel.switched()
            for writer in self._writers if address else ():
                writer.follow(self._order["instances"].index(list(address or ())))
            return False
        for writer in self._writers:
            if writer.socket is not None and writer.socket.fileno() == descriptor:
                if writer.answered() and self._ending is None:
                    writer.write()
                elif self._ending is not None:
                    writer.due = self._ending
                break
        return True

    def _write_due(self) -> None:
        now = time.monotonic()
        for writer in self._writers:
            if writer.due and writer.due <= now and self._ending is None:
                writer.write()

    def _report_progress(self) -> None:
        acks = self._report["acks"]
        if "writing" not in self._said and all(writer.acked for writer in self._writers):
            self._say("writing")
        if "moved" not in self._said and acks and acks[-1][1] != self._order["old"]:
            self._say("moved")

    def _say(self, word: str) -> None:
        self._said.add(word)
        os.write(1, f"{word}\n".encode())


if __name__ == "__main__":
    gc.disable()
    outcome = Crew(json.loads(sys.argv[1])).run()
    sys.stdout.write(json.dumps(outcome) + "\n")
