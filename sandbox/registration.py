"""Registers the containers of a Docker network, from a container in it: `python -m sandbox.registration`.

SERVICES (words such as redis-1/core-01=core-01:6379, separated by spaces) gives the service and the instance that each
host name and port stands for. Those that answer are registered as registrator does; the record of one that stops
answering expires. When a node is new or has restarted, the trigger is written, as the node's unit does.

ETCD_MACHINES (one URL, http://127.0.0.1:4001), CLUSTER (redis-1), TTL (30), TTL_REFRESH (15), LOG_LEVEL (INFO).
"""

import logging
import os
import re
import signal
import socket
import sys
import time
from dataclasses import dataclass
from types import FrameType
from typing import NamedTuple

from sandbox.keys import Keys, KeysError
from sandbox.registrator import Registrator

log = logging.getLogger(__name__)

INTERVAL = 0.5
"""Seconds between two probes of every container."""
TIMEOUT = 1.0


class Started(NamedTuple):
    """What distinguishes one start of a container from the next."""

    host: str
    run_id: str


@dataclass(slots=True)
class Container:
    """An instance of a service; `started` is its latest known start, `up` whether it answered the latest probe."""

    service: str
    instance: str
    name: str
    port: int
    started: Started | None = None
    up: bool = False

    def probe(self, *, redis: bool) -> Started | None:
        """Connect to it. None if it doesn't answer."""
        try:
            host = socket.gethostbyname(self.name)
            with socket.create_connection((host, self.port), TIMEOUT) as connection:
                connection.settimeout(TIMEOUT)
                return Started(host, _run_id(connection) if redis else "")
        except OSError:
            return None


def _run_id(connection: socket.socket) -> str:
    connection.sendall(b"INFO server\r\nQUIT\r\n")
    reply = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    match = re.search(r"^run_id:(\w+)", reply, re.MULTILINE)
    return match[1] if match else ""  # with a password set, only its address identifies it


def parse(word: str) -> Container:
    """Parse a word of SERVICES."""
    match = re.fullmatch(r"([^/=]+)/([^/=]+)=([^/=:]+):(\d+)", word)
    if not match:
        raise SystemExit(f"SERVICES: {word!r} is not of the form service/instance=name:port")
    return Container(match[1], match[2], match[3], int(match[4]))


class Registration:
    """Probes all containers and registers those that answer."""

    def __init__(self, keys: Keys, registrator: Registrator, containers: list[Container], cluster: str) -> None:
        self._keys = keys
        self._registrator = registrator
        self._containers = containers
        self._cluster = cluster
        self._trigger_due = False

    def probe_all(self) -> None:
        """Probe each container once. A trigger that etcd doesn't take is written after the next probes."""
        for container in self._containers:
            is_node = container.service == self._cluster
            started = container.probe(redis=is_node)
            if started is None:
                container.up = False
            elif started != container.started or not container.up:
                self._trigger_due |= is_node and started != container.started
                container.started, container.up = started, True
                self._register(container, started)
        if self._trigger_due:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._keys.put(f"/config/{self._cluster}/topology-trigger", now)
            self._trigger_due = False

    def _register(self, container: Container, started: Started) -> None:
        service, instance, port = container.service, container.instance, container.port
        log.info("registering %s/%s at %s:%d", service, instance, started.host, port)
        self._registrator.register(
            service, instance, started.host, port, lambda: container.up and container.started == started
        )


def main() -> int:
    """Register until SIGTERM."""
    env = os.environ.get
    logging.basicConfig(level=env("LOG_LEVEL", "INFO"), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    containers = [parse(word) for word in env("SERVICES", "").split()]
    keys = Keys(env("ETCD_MACHINES", "http://127.0.0.1:4001"))
    registrator = Registrator(keys, ttl=int(env("TTL", "30")), refresh=float(env("TTL_REFRESH", "15")), delay=0)
    registrator.start()
    registration = Registration(keys, registrator, containers, env("CLUSTER", "redis-1"))
    while True:
        try:
            registration.probe_all()
        except KeysError as error:
            log.warning("failed to write the trigger: %s", error)
        time.sleep(INTERVAL)


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
