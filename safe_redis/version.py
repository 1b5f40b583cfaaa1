"""Which of two documents is the newer one: by etcd's index of them, within one life of etcd.

The observer sends both with each PUT. A receiver refuses a document that is older than one it has
admitted: a PUT may be delivered minutes after its sender has died. A PUT without these headers is
an operator's own, and is always admitted.
"""

from collections.abc import Callable
from types import MappingProxyType

import msgspec

from safe_redis.errors import DocumentError, Outdated

INDEX_HEADER = "Topology-Index"
CLUSTER_HEADER = "Topology-Cluster"
LONGEST = 200


class Version(msgspec.Struct, frozen=True):
    """etcd's index of a document, and a name for the life of etcd in which it has that index."""

    cluster: str
    index: int

    def __str__(self) -> str:
        return f"index {self.index} of etcd {self.cluster}"

    @property
    def headers(self) -> dict[str, str]:
        """What a PUT of the document carries."""
        return {INDEX_HEADER: str(self.index), CLUSTER_HEADER: self.cluster}


def from_headers(header: Callable[[str], str | None]) -> Version | None:
    """The version that a PUT carries, or None; DocumentError names a malformed header."""
    index, cluster = header(INDEX_HEADER), header(CLUSTER_HEADER) or ""
    if index is None:
        return None
    if not (index.isascii() and index.isdigit() and len(index) < 20):
        raise DocumentError(f"{INDEX_HEADER}: {index[:LONGEST]!r} is not an index")
    if len(cluster) > LONGEST:
        raise DocumentError(f"{CLUSTER_HEADER}: longer than {LONGEST} characters")
    return Version(cluster, int(index))


class Admitted:
    """The newest version that was admitted in each life of etcd. Not thread-safe: use it within a turn."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._current = ""

    def admit(self, version: Version | None) -> None:
        """Note `version` as the newest; Outdated if it is older than the newest, or of an earlier life of etcd."""
        if version is None:
            return
        newest = self._newest.get(version.cluster)
        if newest is not None and (version.index < newest or version.cluster != self._current):
            raise _outdated(version, Version(self._current, self._newest[self._current]))
        self._newest[version.cluster] = version.index
        self._current = version.cluster


def _outdated(version: Version, newest: Version) -> Outdated:
    error = Outdated(f"the document is {version}; {newest} was applied already")
    error.headers = MappingProxyType(newest.headers)
    return error
