"""The registrar's settings: what it reads from its environment, with the defaults."""

import socket
from collections.abc import Mapping
from typing import Annotated

import msgspec

from safe_redis import settings
from safe_redis.errors import SettingsError
from safe_redis.etcd import EtcdSettings, Store, connect
from safe_redis.logs import LogSettings
from safe_redis.topology import is_ip, is_name

DEFAULT_MEMBER = "http://127.0.0.1:4001"


class Settings(LogSettings, frozen=True, kw_only=True):
    """HOST_IP is where other hosts reach the published ports. Times are in seconds.

    TTL is how long a record lives in etcd, RECORD_TTL how long a resolver may keep the answer.
    """

    host_ip: str = ""
    host_name: str = ""
    domain: str = "docker"
    ttl: Annotated[int, msgspec.Meta(ge=2, le=86400)] = 30
    ttl_refresh: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 15.0
    record_ttl: Annotated[int, msgspec.Meta(ge=1, le=86400)] = 5
    docker_host: str = "unix:///var/run/docker.sock"
    # a Docker network: its containers alone, by their addresses in it and the ports that they expose
    docker_network: str = ""
    docker_timeout: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0

    # a file that is touched after each round in which Docker and etcd answered; none: not at all
    heartbeat: str = ""

    def __post_init__(self) -> None:
        if not self.host_ip and not self.docker_network:
            raise SettingsError("HOST_IP is not set")
        if self.host_ip and not is_ip(self.host_ip):
            raise SettingsError(f"HOST_IP={self.host_ip!r}: not an IP address")
        if not is_name(self.domain):
            raise SettingsError(f"DOMAIN={self.domain!r}: not a domain")
        if self.ttl_refresh >= self.ttl:
            raise SettingsError(
                f"TTL_REFRESH={self.ttl_refresh:g}: must be less than TTL={self.ttl},"
                " or records are gone before they are refreshed"
            )

    @property
    def host(self) -> str:
        """HOST_NAME, or this machine's name: part of the id of what has no SERVICE_ID."""
        return self.host_name or socket.gethostname()


class StoreSettings(EtcdSettings, frozen=True, kw_only=True):
    """Where etcd is."""

    etcd_peers: tuple[str, ...] = ()


def read(environ: Mapping[str, str]) -> tuple[Settings, Store]:
    """The settings, and the store that they lead to; SettingsError names the variable."""
    etcd = settings.read(StoreSettings, environ)
    store = connect(etcd.etcd_peers or (DEFAULT_MEMBER,), etcd, "ETCD_PEERS")
    return settings.read(Settings, environ), store
