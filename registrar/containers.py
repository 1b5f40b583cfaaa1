"""What Docker says of this host's containers: those that run, and when that may have changed."""

import logging
import threading
import time
from typing import Any

import docker
import requests
from docker.errors import DockerException, NotFound

from registrar.records import Container, Port
from registrar.settings import Settings
from safe_redis.errors import Unavailable

log = logging.getLogger(__name__)

FAILURES = (DockerException, requests.RequestException)
# how long one request for events lasts, in seconds, and the pause after one that failed
EVENTS_LAST = 30
RETRY = 1.0
# Of all that happens to a container or a network, what can change records
EVENTS = ["start", "die", "stop", "pause", "unpause", "rename", "destroy", "connect", "disconnect"]


class DockerUnavailable(Unavailable):
    """The Docker engine can't be reached, or answered with an error."""


class Docker:
    """The Docker engine of this host."""

    def __init__(self, settings: Settings) -> None:
        self._host = settings.docker_host
        self._network = settings.docker_network
        self._timeout = settings.docker_timeout
        self._client: docker.DockerClient | None = None

    def running(self) -> tuple[Container, ...]:
        """The containers that run; DockerUnavailable where Docker doesn't say."""
        try:
            api = self._connected().api
            ids = [entry["Id"] for entry in api.containers()]
            return tuple(container for id_ in ids if (container := self._inspect(api, id_)))
        except FAILURES as error:
            self._client = None
            raise DockerUnavailable(f"Docker at {self._host}: {error}") from None

    def follow(self, changed: threading.Event) -> None:
        """Sets `changed` when a container has started, ended or changed its networks, and sometimes without need.

        Never returns; run it in a daemon thread. Once more than needed is better than once too few: requests overlap.
        """
        start = int(time.time())
        while True:
            until = int(time.time()) + EVENTS_LAST
            try:
                filters = {"type": ["container", "network"], "event": EVENTS}
                for _ in self._connected().events(since=start, until=until, filters=filters):
                    changed.set()
                start = until
                continue
            except FAILURES as error:
                self._client = None
                log.warning("failed to follow the events of Docker at %s: %s", self._host, error)
            except Exception:
                log.exception("failed to follow Docker's events")
            time.sleep(RETRY)
            changed.set()

    def _connected(self) -> docker.DockerClient:
        """A client that speaks the version of the API that the engine has now.

        No version does for all engines: 1.24 is too old for Docker 29. Docker may come up after us, and be upgraded
        meanwhile, so it is asked at the first use and after a failure.
        """
        client = self._client
        if client is None:
            client = docker.DockerClient(self._host, version="auto", timeout=self._timeout)
            self._client = client
        return client

    def _inspect(self, api: docker.APIClient, id_: str) -> Container | None:
        try:
            container = api.inspect_container(id_)
        except NotFound:  # it has ended since it was listed
            return None
        return parse(container, self._network) if container["State"]["Running"] else None


def parse(inspected: dict[str, Any], network: str = "") -> Container:
    """A container as `docker inspect` shows it: with its published ports, or those it exposes in a network."""
    config = inspected["Config"]
    variables = [tuple(line.partition("=")[::2]) for line in config.get("Env") or ()]
    variables += (config.get("Labels") or {}).items()
    address = _address(inspected, network) if network else ""
    if network:
        ports = _exposed(config.get("ExposedPorts") or {}) if address else []
    else:
        ports = _published(inspected["NetworkSettings"].get("Ports") or {})
    return Container(
        name=inspected["Name"].lstrip("/"),
        image=config["Image"],
        variables=tuple(variables),
        ports=tuple(ports),
        address=address,
    )


def _address(inspected: dict[str, Any], network: str) -> str:
    """The container's own address in the network; nothing where it isn't in it."""
    endpoint = (inspected["NetworkSettings"].get("Networks") or {}).get(network) or {}
    return str(endpoint.get("IPAddress") or "")


def _exposed(exposed: dict[str, Any]) -> list[Port]:
    parts = [port.partition("/") for port in sorted(exposed)]
    return [Port(int(number), protocol, int(number)) for number, _, protocol in parts]


def _published(published: dict[str, list[dict[str, str]] | None]) -> list[Port]:
    ports = []
    for exposed, bindings in sorted(published.items()):
        number, _, protocol = exposed.partition("/")
        if bindings:  # several where it is published for IPv4 and IPv6
            ports.append(Port(int(number), protocol, int(bindings[0]["HostPort"])))
    return ports
