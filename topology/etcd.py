"""The one place that talks to etcd (v2 API). Every failure is a StoreError that names the key and the members asked.

python-etcd's own reconnecting is not used: it sends a PUT again behind the caller's back and can lose its member list.
Here each member has a client of its own, without hidden retries; after a failure the next member is asked.
"""

import logging
from collections.abc import Callable
from typing import Annotated, TypeVar
from urllib.parse import quote, urlsplit

import etcd
import msgspec
import urllib3

from topology.errors import SettingsError, StoreError

R = TypeVar("R")
log = logging.getLogger(__name__)

# without a quorum, etcd itself answers a PUT with an error after 7 s: give it the time to say so
READ_TIMEOUT = 8


class EtcdSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a service reads to reach etcd: TLS by file paths (PEM), basic auth by user name and password."""

    etcd_ca_file: str = ""
    etcd_cert_file: str = ""
    etcd_key_file: str = ""
    etcd_username: str = ""
    etcd_password: str = ""
    etcd_timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = READ_TIMEOUT


class Node(msgspec.Struct, frozen=True):
    """One key: its path, its value, its modifiedIndex, and the seconds that it has left (None: for ever)."""

    key: str
    value: str
    index: int
    ttl: int | None = None


class Cleared(StoreError):
    """The index that a watch wants is older than etcd's event history (error 401): read the key anew."""


class Store:
    """etcd's keys, through whichever of `members` (URLs) answers."""

    def __init__(self, members: tuple[str, ...], settings: EtcdSettings) -> None:
        if not members:
            raise SettingsError("no etcd member is given")
        self._members = tuple(_member(url) for url in members)
        self._settings = settings
        self._at = 0
        self._client: etcd.Client | None = None

    def get(self, key: str) -> Node | None:
        """The key's value, or None where there is no such key."""
        return self.look(key)[0]

    def look(self, key: str) -> tuple[Node | None, int]:
        """The key's value, or None, and etcd's index at the time of reading: where a watch must start to miss nothing."""

        def read(client: etcd.Client) -> tuple[Node | None, int]:
            try:
                found = client.read(quote(key))
            except etcd.EtcdKeyNotFound as error:
                return None, int(error.payload["index"])
            return (None if found.dir else _node(found)), int(found.etcd_index)

        return self._ask(f"read {key}", read)

    def tree(self, key: str) -> tuple[Node, ...]:
        """Every value below the directory `key`; none where there is no such directory."""

        def read(client: etcd.Client) -> tuple[Node, ...]:
            try:
                found = client.read(quote(key), recursive=True)
            except etcd.EtcdKeyNotFound:
                return ()
            return tuple(_node(leaf) for leaf in found.leaves if not leaf.dir)

        return self._ask(f"read {key} and below", read)

    def put(self, key: str, value: str, ttl: int | None = None) -> None:
        """Writes the key; with `ttl` (seconds) it disappears by itself unless it is written again."""
        self._ask(f"write {key}", lambda client: client.write(quote(key), value, ttl=ttl))

    def delete(self, key: str) -> None:
        """Deletes the key; that it is gone already is no error."""

        def remove(client: etcd.Client) -> None:
            try:
                client.delete(quote(key))
            except etcd.EtcdKeyNotFound:
                log.debug("found %s deleted already", key)

        self._ask(f"delete {key}", remove)

    def watch(self, key: str, index: int, timeout: float) -> Node | None:
        """The first event on `key` at or after `index`; None after `timeout` seconds. Cleared where etcd forgot it."""

        def wait(client: etcd.Client) -> Node | None:
            try:
                return _node(client.watch(quote(key), index=index, timeout=timeout))
            except etcd.EtcdWatchTimedOut:  # a subclass of the connection error that _ask catches: must come first
                return None
            except etcd.EtcdEventIndexCleared as error:
                raise Cleared(f"watch {key}: {error}") from None

        return self._ask(f"watch {key}", wait)

    def _ask(self, what: str, request: Callable[[etcd.Client], R]) -> R:
        told: list[str] = []
        for _ in self._members:
            client = self._connected()
            try:
                return request(client)
            except etcd.EtcdException as error:
                told.append(f"{self._members[self._at % len(self._members)][3]}: {error}")
                self._client, self._at = None, self._at + 1
        raise StoreError(f"etcd failed to {what}: {'; '.join(told)}")

    def _connected(self) -> etcd.Client:
        if self._client is None:
            protocol, host, port, _ = self._members[self._at % len(self._members)]
            self._client = _client(protocol, host, port, self._settings)
        return self._client


def _client(protocol: str, host: str, port: int, settings: EtcdSettings) -> etcd.Client:
    cert: object = settings.etcd_cert_file or None
    if settings.etcd_cert_file and settings.etcd_key_file:
        cert = (settings.etcd_cert_file, settings.etcd_key_file)
    client = etcd.Client(
        host=host,
        port=port,
        protocol=protocol,
        read_timeout=settings.etcd_timeout,
        cert=cert,
        ca_cert=settings.etcd_ca_file or None,
        username=settings.etcd_username or None,
        password=settings.etcd_password or None,
    )
    # urllib3 re-sends PUT, GET and DELETE three times unless told not to
    client.http.clear()
    client.http.connection_pool_kw["retries"] = urllib3.Retry(connect=0, read=0, status=0, other=0, redirect=0)
    return client


def _member(url: str) -> tuple[str, str, int, str]:
    bad = SettingsError(f"{url!r} is not the URL of an etcd member; expected one like http://127.0.0.1:4001")
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        port = parts.port or 4001
    except ValueError:
        raise bad from None
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise bad
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return parts.scheme, host, port, f"{parts.scheme}://{host}:{port}"


def _node(found: etcd.EtcdResult) -> Node:
    return Node(found.key, found.value or "", int(found.modifiedIndex), found.ttl)
