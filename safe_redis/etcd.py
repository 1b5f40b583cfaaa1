"""The one place that talks to etcd (v2 API). A failure is a StoreError naming key and members.

python-etcd's own reconnecting is not used: it sends a PUT again behind the caller's back and can
lose its member list. Here each member has a client of its own, without hidden retries; after a
failure the next member is asked.
"""

import threading
from collections.abc import Callable
from typing import Annotated, TypeVar
from urllib.parse import quote, urlsplit

import etcd
import msgspec
import urllib3

from safe_redis.errors import Rejected, SettingsError, StoreError
from safe_redis.settings import secret

R = TypeVar("R")

# a member that doesn't take connections must not use up the time of those that do
CONNECT_TIMEOUT = 2.0
# about the request itself: another member would say the same
REJECTIONS = (etcd.EtcdKeyError, etcd.EtcdValueError, etcd.EtcdInsufficientPermissions)


class EtcdSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a service reaches etcd: TLS by file paths (PEM), basic auth, seconds for an answer."""

    etcd_ca_file: str = ""
    etcd_cert_file: str = ""
    etcd_key_file: str = ""
    etcd_username: str = ""
    etcd_password: str = ""
    etcd_password_file: str = ""
    # without a quorum, etcd itself answers a PUT with an error after 7 s: it gets the time to
    etcd_timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 8.0

    @property
    def password(self) -> str:
        """ETCD_PASSWORD, or the first line of ETCD_PASSWORD_FILE."""
        return secret("ETCD_PASSWORD", self.etcd_password, self.etcd_password_file)


class Node(msgspec.Struct, frozen=True):
    """A key, its value, its modifiedIndex, and the seconds that it has left (None: for ever)."""

    key: str
    value: str
    index: int
    ttl: int | None = None


class Event(msgspec.Struct, frozen=True):
    """What happened to a key: its new state, and whether it was deleted or expired."""

    node: Node
    gone: bool


class Cleared(StoreError):
    """The index that a watch wants is older than etcd's history (error 401): read the key anew."""


class Store:
    """etcd's keys, through whichever of `members` (URLs) answers. Any thread may use it.

    `variable` is where the URLs are from, for the SettingsError about a bad one.
    """

    def __init__(self, members: tuple[str, ...], settings: EtcdSettings, variable: str = "ETCD_PEERS") -> None:
        if not members:
            raise SettingsError(f"{variable} names no etcd member")
        self._members = tuple(_member(variable, url) for url in members)
        self._settings = settings
        self._password = settings.password
        self._lock = threading.Lock()
        self._at = 0
        self._client: etcd.Client | None = None

    def get(self, key: str) -> Node | None:
        """The key's value, or None where there is no such key."""
        return self.get_with_index(key)[0]

    def get_with_index(self, key: str) -> tuple[Node | None, int]:
        """The key's value, or None, and etcd's index: a watch from the next on misses nothing."""

        def read(client: etcd.Client) -> tuple[Node | None, int]:
            try:
                found = client.read(quote(key))
            except etcd.EtcdKeyNotFound as error:
                return None, int(error.payload["index"])
            return (None if found.dir else _node(found)), int(found.etcd_index)

        return self._ask(f"read {key}", read)

    def children(self, key: str) -> dict[str, Node]:
        """The values right below the directory `key`, by their last part; {} where it isn't one."""

        def read(client: etcd.Client) -> dict[str, Node]:
            try:
                found = client.read(quote(key))
            except etcd.EtcdKeyNotFound:
                return {}
            if not found.dir:
                return {}
            return {_last(leaf.key): _node(leaf) for leaf in found.leaves if not leaf.dir}

        return self._ask(f"list {key}", read)

    def put(self, key: str, value: str, ttl: int | None = None) -> None:
        """Writes the key; with `ttl` (seconds) it is gone by then unless it is written again."""
        self._ask(f"write {key}", lambda client: client.write(quote(key), value, ttl=ttl))

    def delete(self, key: str) -> None:
        """Deletes the key; that it is gone already is no error."""

        def remove(client: etcd.Client) -> bool:
            try:
                client.delete(quote(key))
            except etcd.EtcdKeyNotFound:
                return False
            return True

        self._ask(f"delete {key}", remove)

    def watch(self, key: str, index: int, timeout: float) -> Event | None:
        """The first event on `key` at or after `index`; None after `timeout` seconds.

        Cleared where etcd has forgotten what happened since then.
        """

        def wait(client: etcd.Client) -> Event | None:
            limits = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=timeout)
            try:
                found = client.watch(quote(key), index=index, timeout=limits)
            except etcd.EtcdWatchTimedOut:  # before its base class, which _ask takes for a failure
                return None
            except etcd.EtcdEventIndexCleared as error:
                raise Cleared(f"etcd can't watch {key} from {index} on: {error}") from None
            return Event(_node(found), found.action in ("delete", "expire"))

        return self._ask(f"watch {key}", wait)

    def _ask(self, what: str, request: Callable[[etcd.Client], R]) -> R:
        told: list[str] = []
        for _ in self._members:
            member, client = self._connected()
            try:
                return request(client)
            except REJECTIONS as error:
                raise Rejected(f"etcd at {member} refused to {what}: {error}") from None
            except etcd.EtcdException as error:
                told.append(f"{member}: {_why(error)}")
                self._drop(client)
        raise StoreError(f"etcd failed to {what}: {'; '.join(told)}")

    def _connected(self) -> tuple[str, etcd.Client]:
        with self._lock:
            protocol, host, port = self._members[self._at]
            if self._client is None:
                self._client = _client(protocol, host, port, self._settings, self._password)
            return f"{protocol}://{host}:{port}", self._client

    def _drop(self, client: etcd.Client) -> None:
        with self._lock:
            # another thread may have done it, and have gone on to the next member already
            if self._client is client:
                self._client, self._at = None, (self._at + 1) % len(self._members)


def _client(protocol: str, host: str, port: int, settings: EtcdSettings, password: str) -> etcd.Client:
    cert: str | tuple[str, str] | None = settings.etcd_cert_file or None
    if settings.etcd_cert_file and settings.etcd_key_file:
        cert = (settings.etcd_cert_file, settings.etcd_key_file)
    client = etcd.Client(
        host=host,
        port=port,
        protocol=protocol,
        cert=cert,
        ca_cert=settings.etcd_ca_file or None,
        username=settings.etcd_username or None,
        password=password or None,
    )
    # urllib3 re-sends PUT, GET and DELETE three times unless told not to
    client.http.clear()
    client.http.connection_pool_kw["retries"] = urllib3.Retry(connect=0, read=0, status=0, other=0, redirect=0)
    # the constructor takes just one number, for connecting and reading alike
    client._read_timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=settings.etcd_timeout)  # noqa: SLF001
    return client


def _member(variable: str, url: str) -> tuple[str, str, int]:
    bad = SettingsError(f"{variable}={url!r}: not an etcd member's URL like http://127.0.0.1:4001")
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        port = parts.port or 4001
    except ValueError:
        raise bad from None
    if not parts.hostname or parts.scheme not in ("http", "https") or parts.path not in ("", "/"):
        raise bad
    return parts.scheme, f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname, port


def _why(error: etcd.EtcdException) -> str:
    cause = getattr(error, "cause", None)
    return str(getattr(cause, "reason", None) or cause or error)


def _node(found: etcd.EtcdResult) -> Node:
    return Node(found.key, found.value or "", int(found.modifiedIndex), found.ttl)


def _last(key: str) -> str:
    return key.rpartition("/")[2]
