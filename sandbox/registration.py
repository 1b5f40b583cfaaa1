"""Registers containers of a Docker network, seen from a container in it: `python -m sandbox.registration`.

SERVICES (words such as redis-1/core-01=core-01:6379, space-separated) says which service and instance
answers under which name. What answers is kept in etcd as registrator does; what doesn't is left to
expire. A node that is new, or has started again, also has the trigger written, as its unit does.

ETCD_MACHINES (one URL, http://127.0.0.1:4001), CLUSTER (redis-1), TTL (30), TTL_REFRESH (15), LOG_LEVEL (INFO).
"""

import json
import logging
import os
import re
import signal
import socket
import sys
import time
from dataclasses import dataclass
from types import FrameType

from sandbox.keys import Keys, KeysError
from sandbox.registrator import key_of

log = logging.getLogger(__name__)

TURN = 0.5
"""Seconds between two looks at every container."""
TIMEOUT = 1.0


@dataclass(slots=True)
class Container:
    """One instance of a service. `seen` is what told it apart from any other start of it; `due` is when to refresh."""

    service: str
    instance: str
    name: str
    port: int
    seen: str = ""
    due: float = 0.0

    def look(self, *, redis: bool) -> tuple[str, str] | None:
        """Its address, and what changes when it starts again or gets another address; None where it doesn't answer."""
        try:
            host = socket.gethostbyname(self.name)
            with socket.create_connection((host, self.port), TIMEOUT) as connection:
                connection.settimeout(TIMEOUT)
                return host, f"{host} {_run_id(connection) if redis else ''}"
        except OSError:
            return None


def _run_id(connection: socket.socket) -> str:
    connection.sendall(b"INFO server\r\nQUIT\r\n")
    told = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    found = re.search(r"^run_id:(\w+)", told, re.MULTILINE)
    return found[1] if found else ""  # one that wants a password is still told apart by its address


def parse(word: str) -> Container:
    """A word of SERVICES."""
    match = re.fullmatch(r"([^/=]+)/([^/=]+)=([^/=:]+):(\d+)", word)
    if not match:
        raise SystemExit(f"SERVICES: {word!r} is not of the form service/instance=name:port")
    return Container(match[1], match[2], match[3], int(match[4]))


class Registration:
    """Looks at every container in turn, again and again."""

    def __init__(self, keys: Keys, containers: list[Container], cluster: str, ttl: int, refresh: float) -> None:
        self._keys = keys
        self._containers = containers
        self._cluster = cluster
        self._ttl = ttl
        self._refresh = refresh
        self._trigger_due = False

    def turn(self) -> None:
        """One look at each; what etcd doesn't take is tried again at the next."""
        for container in self._containers:
            if self._renew(container) and container.service == self._cluster:
                self._trigger_due = True
        if self._trigger_due:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._keys.put(f"/config/{self._cluster}/topology-trigger", now)
            self._trigger_due = False

    def _renew(self, container: Container) -> bool:
        """Keep its record. True where it has started since the last look."""
        found = container.look(redis=container.service == self._cluster)
        if found is None:
            container.due = 0.0
            return False
        host, seen = found
        if seen == container.seen and time.monotonic() < container.due:
            return False
        record = json.dumps({"host": host, "port": container.port})
        self._keys.put(key_of(container.service, container.instance), record, ttl=self._ttl)
        started = seen != container.seen
        if started:
            log.info("registered %s/%s at %s:%d", container.service, container.instance, host, container.port)
        container.seen, container.due = seen, time.monotonic() + self._refresh
        return started


def main() -> int:
    """Register until SIGTERM."""
    env = os.environ.get
    logging.basicConfig(level=env("LOG_LEVEL", "INFO"), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    containers = [parse(word) for word in env("SERVICES", "").split()]
    keys = Keys(env("ETCD_MACHINES", "http://127.0.0.1:4001"))
    registration = Registration(
        keys, containers, env("CLUSTER", "redis-1"), int(env("TTL", "30")), float(env("TTL_REFRESH", "15"))
    )
    while True:
        try:
            registration.turn()
        except KeysError as error:
            log.warning("failed to register: %s", error)
        time.sleep(TURN)


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
