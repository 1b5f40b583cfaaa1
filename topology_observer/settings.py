"""The observer's settings: what it reads from its environment, with the defaults."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from safe_redis import settings
from safe_redis.errors import SettingsError
from safe_redis.etcd import EtcdSettings, Store, connect
from safe_redis.logs import LogSettings
from safe_redis.tls import client_context

DEFAULT_MEMBER = "http://127.0.0.1:4001"
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Key = Annotated[str, msgspec.Meta(pattern="^/.*[^/]$")]


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is notified: a URL taken apart; without a port, `host` is for an SRV look-up."""

    scheme: str
    host: str
    port: int | None
    authority: str
    target: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


class Settings(LogSettings, frozen=True, kw_only=True):
    """Times are in seconds."""

    notifies: tuple[str, ...]
    trigger: Key = "/config/redis-1/topology-trigger"
    read: Key = ""
    retrigger: Key = ""
    # where each run's outcome is written, and a key that keeps the observer from applying anything while it exists
    status: Key = ""
    paused: Key = ""
    # the directory in which the dictator's history is kept
    history: Key = ""
    # what the receivers ask for: a token, and TLS with a certificate of ours; the CA of theirs, else the system's
    token: str = ""
    token_file: str = ""
    notify_ca_file: str = ""
    notify_cert_file: str = ""
    notify_key_file: str = ""

    dns: tuple[str, ...] = ()
    dns_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 53

    resolve_timeout: Seconds = 2.0
    connect_timeout: Seconds = 2.0
    # the dictator may wait for its turn, and then for an instance to catch up
    notify_timeout: Seconds = 90.0
    # the pause before the first repetition of a run, and the longest that doubling makes of it
    retry_first: Seconds = 0.25
    retry_max: Seconds = 5.0
    # after how long what was applied is applied again; 0: never
    resync_interval: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 60.0

    # where metrics, /healthz and /readyz are served; 0: nowhere
    metrics_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0

    # a file that is touched at every turn of the watch, at least twice a minute while etcd answers; none: not at all
    heartbeat: str = ""

    @property
    def document(self) -> str:
        """The key that holds the topology: READ, or the trigger itself."""
        return self.read or self.trigger

    @property
    def status_key(self) -> str:
        """The key for outcomes: STATUS, or the trigger's with `-status` in place of `-trigger`."""
        return self.status or f"{self.trigger.removesuffix('-trigger')}-status"

    @property
    def paused_key(self) -> str:
        """The key that pauses the observer: PAUSED, or `paused` beside the trigger."""
        return self.paused or f"{self.trigger.rpartition('/')[0]}/paused"

    @property
    def history_key(self) -> str:
        """The directory of the dictator's history: HISTORY, or `history` beside the trigger."""
        return self.history or f"{self.trigger.rpartition('/')[0]}/history"

    @property
    def epoch_key(self) -> str:
        """The key that tells one life of etcd from another: `epoch` beside the document."""
        return f"{self.document.rpartition('/')[0]}/epoch"

    @property
    def access_token(self) -> str:
        """TOKEN, or the first line of TOKEN_FILE."""
        return settings.token(self.token, self.token_file)

    @property
    def tls(self) -> ssl.SSLContext:
        """How receivers are reached by https; SettingsError where a file can't be used."""
        return client_context("NOTIFY", self.notify_ca_file, self.notify_cert_file, self.notify_key_file)

    @property
    def receivers(self) -> tuple[Receiver, ...]:
        """Those to notify, in order."""
        return tuple(_receiver(url) for url in self.notifies)

    def __post_init__(self) -> None:
        if not self.receivers:
            raise SettingsError("NOTIFIES names no URL")
        _ = self.access_token


class StoreSettings(EtcdSettings, frozen=True, kw_only=True):
    """Where etcd is: ETCD_MACHINES, or ETCD_PEERS."""

    etcd_machines: tuple[str, ...] = ()
    etcd_peers: tuple[str, ...] = ()


def read(environ: Mapping[str, str]) -> tuple[Settings, Store]:
    """The settings, and the store that they lead to; SettingsError names the variable."""
    etcd = settings.read(StoreSettings, environ)
    if etcd.etcd_machines:
        store = connect(etcd.etcd_machines, etcd, "ETCD_MACHINES")
    else:
        store = connect(etcd.etcd_peers or (DEFAULT_MEMBER,), etcd, "ETCD_PEERS")
    return settings.read(Settings, environ), store


def _receiver(url: str) -> Receiver:
    bad = SettingsError(f"NOTIFIES={url!r}: not a URL like http://redis-1-dictator.docker/master")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise bad from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or not url.isascii():
        raise bad
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Receiver(parts.scheme, parts.hostname, port, parts.netloc, target)
