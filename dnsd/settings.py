"""dnsd's settings: what it reads from its environment, with the defaults."""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from safe_redis import settings
from safe_redis.errors import SettingsError
from safe_redis.etcd import EtcdSettings, Store, connect
from safe_redis.topology import is_name
from safe_redis.web import WebSettings

DEFAULT_MEMBER = "http://127.0.0.1:4001"


class Settings(WebSettings, frozen=True, kw_only=True):
    """Times are in seconds. A record that isn't refreshed for TTL is gone; a resolver may cache it for RECORD_TTL.

    The default of TTL outlives fleet's moving of dnsd to another host, which takes 20 to 30 s.
    """

    publish_domain: str = "docker"
    ttl: Annotated[int, msgspec.Meta(ge=1, le=86400)] = 60
    ttl_refresh: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 20.0
    record_ttl: Annotated[int, msgspec.Meta(ge=1, le=86400)] = 5
    # how long a PUT waits for the one before it
    turn_timeout: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 20.0

    def __post_init__(self) -> None:
        WebSettings.__post_init__(self)
        if self.ttl_refresh >= self.ttl:
            raise SettingsError(
                f"TTL_REFRESH={self.ttl_refresh:g}: must be less than TTL={self.ttl},"
                " or records are gone before they are refreshed"
            )
        if not is_name(self.domain):
            raise SettingsError(f"PUBLISH_DOMAIN={self.publish_domain!r}: not a domain")

    @property
    def domain(self) -> str:
        """PUBLISH_DOMAIN as SkyDNS looks it up: in lower case, without a trailing dot."""
        return self.publish_domain.lower().removesuffix(".")


class StoreSettings(EtcdSettings, frozen=True, kw_only=True):
    """Where etcd is: ETCD_PEERS, else what a Docker link to a container named etcd sets."""

    etcd_peers: tuple[str, ...] = ()
    etcd_port_4001_tcp_addr: str = ""
    etcd_port_4001_tcp_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 4001


def read(environ: Mapping[str, str]) -> tuple[Settings, Store]:
    """The settings, and the store that they lead to; SettingsError names the variable."""
    etcd = settings.read(StoreSettings, environ)
    return settings.read(Settings, environ), _store(etcd)


def _store(etcd: StoreSettings) -> Store:
    if etcd.etcd_peers or not etcd.etcd_port_4001_tcp_addr:
        return connect(etcd.etcd_peers or (DEFAULT_MEMBER,), etcd, "ETCD_PEERS")
    host = etcd.etcd_port_4001_tcp_addr
    host = f"[{host}]" if ":" in host else host
    scheme = "https" if etcd.etcd_ca_file or etcd.etcd_cert_file else "http"
    return connect((f"{scheme}://{host}:{etcd.etcd_port_4001_tcp_port}",), etcd, "ETCD_PORT_4001_TCP_ADDR")
