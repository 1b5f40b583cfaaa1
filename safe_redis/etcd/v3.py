"""The store on etcd's v3 API, through the JSON gateway that etcd has from 3.4 on.

Reads are linearizable, etcd's default: a member that has lost touch with the others can't answer
with old data. Keys are what they are in v2, with slashes; a directory is a common beginning.
"""

import time
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from safe_redis.etcd.failure import MemberFailed
from safe_redis.etcd.gateway import (
    Gateway,
    Header,
    LeaseGone,
    Refusal,
    RefusedByMember,
    decoded,
    encode,
)
from safe_redis.etcd.leases import Leases
from safe_redis.etcd.settings import EtcdSettings
from safe_redis.etcd.store import Cleared, Event, Listing, Node, Reading
from safe_redis.etcd.stream import Stream


class _KeyValue(msgspec.Struct, frozen=True):
    key: str
    mod_revision: int
    value: str = ""

    def node(self) -> Node:
        return Node(_text(self.key), _text(self.value), self.mod_revision)


class _Range(msgspec.Struct, frozen=True):
    header: Header
    kvs: tuple[_KeyValue, ...] = ()


class _Written(msgspec.Struct, frozen=True):
    header: Header
    succeeded: bool = False
    deleted: int = 0


class _Event(msgspec.Struct, frozen=True):
    kv: _KeyValue
    type: str = "PUT"


class _Watched(msgspec.Struct, frozen=True):
    header: Header = Header()
    events: tuple[_Event, ...] = ()
    canceled: bool = False
    cancel_reason: str = ""
    compact_revision: int = 0


class _Message(msgspec.Struct, frozen=True):
    result: _Watched | None = None
    error: Refusal | None = None


class StoreV3:
    """See Store for what the methods promise."""

    def __init__(self, members: tuple[str, ...], settings: EtcdSettings, variable: str = "ETCD_PEERS") -> None:
        self._gateway = Gateway(members, settings, variable)
        self._leases = Leases(self._gateway)
        self._timeout = settings.etcd_timeout

    def get(self, key: str) -> Node | None:
        return self.read(key).node

    def read(self, key: str) -> Reading:
        answer = self._gateway.call(f"read {key}", "kv/range", {"key": encode(key)}, _Range)
        node = answer.kvs[0].node() if answer.kvs else None
        return Reading(node, answer.header.revision, answer.header.cluster)

    def children(self, key: str) -> dict[str, Node]:
        return self.read_children(key).nodes

    def read_children(self, key: str) -> Listing:
        directory = key.rstrip("/") + "/"
        # up to the key that follows all those that begin with the directory
        body = {"key": encode(directory), "range_end": encode(directory[:-1] + chr(ord("/") + 1))}
        answer = self._gateway.call(f"list {key}", "kv/range", body, _Range)
        nodes = {node.key.removeprefix(directory): node for node in (pair.node() for pair in answer.kvs)}
        nodes = {name: node for name, node in nodes.items() if name and "/" not in name}
        return Listing(nodes, answer.header.revision, answer.header.cluster)

    def put(self, key: str, value: str, ttl: int | None = None) -> int:
        def write(lease: int) -> _Written:
            return self._gateway.call(f"write {key}", "kv/put", _put(key, value, lease), _Written)

        if ttl is None:
            return write(0).header.revision
        known = self._leases.known(key, ttl)
        # the renewal first: a member that hangs gets no write then that it could carry out later
        if known and self._leases.renewed(key, known):
            with suppress(LeaseGone):
                return write(known).header.revision
        return write(self._leases.granted(key, ttl)).header.revision

    def swap(self, key: str, value: str, ttl: int | None, index: int) -> int | None:
        def write(lease: int) -> _Written:
            body = {"compare": [_unchanged(key, index)], "success": [{"request_put": _put(key, value, lease)}]}
            return self._gateway.call(f"swap {key}", "kv/txn", body, _Written, once=True)

        written = write(0) if ttl is None else self._renewed_after(key, ttl, write)
        return written.header.revision if written.succeeded else None

    def _renewed_after(self, key: str, ttl: int, write: Callable[[int], _Written]) -> _Written:
        """The result of `write` with the key's own lease, which is renewed then: readers wait for the new value."""
        known = self._leases.known(key, ttl)
        if known:
            with suppress(LeaseGone):
                written = write(known)
                if self._leases.renewed(key, known):
                    return written
        return write(self._leases.granted(key, ttl))

    def delete(self, key: str, index: int = 0) -> bool:
        self._leases.forget(key)
        what, delete = f"delete {key}", {"key": encode(key)}
        if not index:
            return self._gateway.call(what, "kv/deleterange", delete, _Written).deleted > 0
        body = {"compare": [_unchanged(key, index)], "success": [{"request_delete_range": delete}]}
        return self._gateway.call(what, "kv/txn", body, _Written).succeeded

    def watch(self, key: str, index: int, timeout: float) -> Event | None:
        body = {"create_request": {"key": encode(key), "start_revision": str(index)}}

        def read(stream: Stream) -> Event | None:
            deadline = time.monotonic() + timeout
            if _watched(stream, self._timeout, f"{key} from {index} on") is None:
                raise MemberFailed(f"did not begin to watch within {self._timeout:g} s: timed out")
            while (watched := _watched(stream, deadline - time.monotonic(), f"{key} from {index} on")) is not None:
                for event in watched.events:
                    return Event(event.kv.node(), event.type == "DELETE", watched.header.cluster)
            return None

        return self._gateway.stream(f"watch {key}", "watch", body, read)


def _put(key: str, value: str, lease: int) -> dict[str, Any]:
    return {"key": encode(key), "value": encode(value), "lease": str(lease)}


def _unchanged(key: str, index: int) -> dict[str, Any]:
    return {"key": encode(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(index)}


def _watched(stream: Stream, timeout: float, what: str) -> _Watched | None:
    """The next message of a watch; None after `timeout` seconds. Raises what says that it ends."""
    line = stream.line(timeout)
    if line is None:
        return None
    message = decoded(line, _Message)
    if message.error is not None:
        raise RefusedByMember(message.error)
    watched = message.result or _Watched()
    if watched.compact_revision:
        raise Cleared(f"etcd can't watch {what}: what was before {watched.compact_revision} is compacted")
    if watched.canceled:
        raise RefusedByMember(Refusal(message=watched.cancel_reason or "canceled the watch"))
    return watched


def _text(encoded: str) -> str:
    # what isn't UTF-8 comes from somebody else; it must not hide the keys beside it
    return b64decode(encoded).decode(errors="replace")
