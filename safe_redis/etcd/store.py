"""What a store of keys offers, whichever of etcd's APIs is behind it."""

from typing import Protocol

import msgspec

from safe_redis.errors import StoreError


class Node(msgspec.Struct, frozen=True):
    """A key, its value, and the index of its last write."""

    key: str
    value: str
    index: int


class Reading(msgspec.Struct, frozen=True):
    """A key's node, or None, with etcd's index and cluster id at that moment.

    A watch from `index` + 1 on misses nothing. Another cluster id means another etcd, whose indexes
    can't be compared; an etcd that was wiped and has the same members has the same id again.
    """

    node: Node | None
    index: int
    cluster: str


class Listing(msgspec.Struct, frozen=True):
    """The nodes right below a directory, by the last part of their key; otherwise as Reading."""

    nodes: dict[str, Node]
    index: int
    cluster: str


class Event(msgspec.Struct, frozen=True):
    """What happened to a key: its new state, and whether it was deleted or expired."""

    node: Node
    gone: bool
    cluster: str = ""


class Cleared(StoreError):
    """The index that a watch wants is older than etcd's history: read the key anew."""


class Store(Protocol):
    """etcd's keys, through whichever member answers. Any thread may use it.

    Each method raises StoreError where no member answers, and Rejected where one refuses. No
    request is sent to the same member twice.
    """

    def get(self, key: str) -> Node | None:
        """The key's node, or None where there is no such key."""

    def read(self, key: str) -> Reading:
        """The key's node with etcd's index and cluster id."""

    def children(self, key: str) -> dict[str, Node]:
        """The nodes right below the directory `key`, by their last part; {} where it isn't one."""

    def read_children(self, key: str) -> Listing:
        """The nodes right below the directory `key` with etcd's index and cluster id."""

    def put(self, key: str, value: str, ttl: int | None = None) -> int:
        """Write the key and return its new index; with `ttl` (s) it expires unless written again."""

    def swap(self, key: str, value: str, ttl: int | None, index: int) -> int | None:
        """Write the key only if its index is still `index`; with 0, only if it doesn't exist.

        Returns the new index, or None if another write came first. After a StoreError the write may
        have been made or not: read the key to find out.
        """

    def delete(self, key: str, index: int = 0) -> bool:
        """Delete the key, if there is one; with an `index`, only if that is still its index. Whether it was deleted."""

    def watch(self, key: str, index: int, timeout: float) -> Event | None:
        """The first event on `key` at or after `index`; None after `timeout` seconds.

        Raises Cleared where etcd has forgotten what happened since then.
        """
