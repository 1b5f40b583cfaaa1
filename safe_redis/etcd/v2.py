"""The store on etcd's v2 API, by python-etcd. etcd has it up to 3.5 (from 3.4 on by --enable-v2).

python-etcd's own reconnecting is not used: it sends a PUT again behind the caller's back, and can lose its list of
members. Here each member has a client of its own, without hidden retries.
"""

import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import etcd
import msgspec
import urllib3
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from safe_redis.errors import Rejected
from safe_redis.etcd.failure import MemberFailed
from safe_redis.etcd.members import CONNECT_TIMEOUT, Member, Members
from safe_redis.etcd.settings import EtcdSettings
from safe_redis.etcd.store import Cleared, Event, Listing, Node, Reading

NOT_FOUND, COMPARE_FAILED, EXISTS, CLEARED = 100, 101, 105, 401
# about the request itself: another member would say the same
REJECTIONS = range(100, 300)


class _Node(msgspec.Struct, frozen=True):
    key: str = "/"
    value: str = ""
    dir: bool = False
    nodes: tuple["_Node", ...] = ()
    modifiedIndex: int = 0  # noqa: N815 - etcd's name

    def node(self) -> Node:
        return Node(self.key, self.value, self.modifiedIndex)


class _Result(msgspec.Struct, frozen=True):
    action: str
    node: _Node


class _Error(msgspec.Struct, frozen=True):
    message: str
    errorCode: int = 0  # noqa: N815 - etcd's name
    cause: str = ""

    def __str__(self) -> str:
        return f"{self.message} : {self.cause}" if self.cause else self.message


class _Client(etcd.Client):  # type: ignore[misc] # it has no types
    """A client that any thread may use: python-etcd keeps the last answer's cluster id in one place for all of them."""

    def __init__(self, **settings: Any) -> None:
        self._own = threading.local()
        super().__init__(**settings)

    @property
    def cluster(self) -> str:
        """The id of the cluster that has last answered the calling thread; nothing where the answer had none."""
        return self.expected_cluster_id or ""

    @property
    def expected_cluster_id(self) -> str | None:
        """What python-etcd sets, and compares the next answer's with."""
        return getattr(self._own, "cluster", None)

    @expected_cluster_id.setter
    def expected_cluster_id(self, cluster: str | None) -> None:
        self._own.cluster = cluster


class StoreV2:
    """See Store for what the methods promise."""

    def __init__(self, members: tuple[str, ...], settings: EtcdSettings, variable: str = "ETCD_PEERS") -> None:
        self._members = Members(members, settings, variable)
        self._settings = settings
        self._password = settings.password
        self._clients: dict[str, _Client] = {}

    def get(self, key: str) -> Node | None:
        return self.read(key).node

    def read(self, key: str) -> Reading:
        headers, result = self._send(f"read {key}", "GET", key, allow=(NOT_FOUND,))
        node = result.node.node() if isinstance(result, _Result) and not result.node.dir else None
        return Reading(node, *_headers(headers))

    def children(self, key: str) -> dict[str, Node]:
        return self.read_children(key).nodes

    def read_children(self, key: str) -> Listing:
        headers, result = self._send(f"list {key}", "GET", key, allow=(NOT_FOUND,))
        children = result.node.nodes if isinstance(result, _Result) else ()
        nodes = {child.key.rpartition("/")[2]: child.node() for child in children if not child.dir}
        return Listing(nodes, *_headers(headers))

    def put(self, key: str, value: str, ttl: int | None = None) -> int:
        _, result = self._send(f"write {key}", "PUT", key, params=_params(value, ttl))
        assert isinstance(result, _Result)  # noqa: S101 - any error that isn't allowed has been raised
        return result.node.modifiedIndex

    def swap(self, key: str, value: str, ttl: int | None, index: int) -> int | None:
        condition = {"prevIndex": str(index)} if index else {"prevExist": "false"}
        lost = (NOT_FOUND, COMPARE_FAILED, EXISTS)
        _, result = self._send(f"swap {key}", "PUT", key, params=_params(value, ttl) | condition, allow=lost, once=True)
        return result.node.modifiedIndex if isinstance(result, _Result) else None

    def delete(self, key: str, index: int = 0) -> bool:
        params = {"prevIndex": str(index)} if index else None
        _, result = self._send(f"delete {key}", "DELETE", key, params=params, allow=(NOT_FOUND, COMPARE_FAILED))
        return isinstance(result, _Result)

    def watch(self, key: str, index: int, timeout: float) -> Event | None:
        params = {"wait": "true", "waitIndex": str(index)}
        try:
            headers, result = self._send(f"watch {key}", "GET", key, params=params, allow=(CLEARED,), timeout=timeout)
        except _TimedOut:
            return None
        if isinstance(result, _Error):
            raise Cleared(f"etcd can't watch {key} from {index} on: {result}")
        return Event(result.node.node(), result.action in ("delete", "expire"), _headers(headers)[1])

    def _send(
        self,
        what: str,
        method: str,
        key: str,
        *,
        params: Mapping[str, str] | None = None,
        allow: tuple[int, ...] = (),
        timeout: float | None = None,
        once: bool = False,
    ) -> tuple[Mapping[str, str], _Result | _Error]:
        """The answer's headers and what it says: a result, or an error whose code is in `allow`."""
        limits = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=timeout or self._settings.etcd_timeout)

        def request(member: Member) -> tuple[Mapping[str, str], _Result | _Error]:
            client = self._client(member)
            # a store without indexes to compare may be another etcd by now; whoever compares them looks at the id
            client.expected_cluster_id = None
            try:
                answer = client.api_execute(f"/v2/keys{quote(key)}", method, params=params, timeout=limits)
            except etcd.EtcdWatchTimedOut:  # before its base class, which is a failure
                raise _TimedOut from None
            except etcd.EtcdException as error:
                said = _error(error, f"etcd at {member.url} refused to {what}", allow)
                index = str((error.payload or {}).get("index", 0))
                return {"x-etcd-index": index, "x-etcd-cluster-id": client.cluster}, said
            return answer.headers, _result(answer.status, answer.data)

        return self._members.ask(what, request, once=once)

    def _client(self, member: Member) -> _Client:
        # two threads may both make one; the first that is kept serves both
        known = self._clients.get(member.url)
        return known or self._clients.setdefault(member.url, _connect(member, self._settings, self._password))


def _connect(member: Member, settings: EtcdSettings, password: str) -> _Client:
    parts = urlsplit(member.url)
    client = _Client(
        host=f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname,
        port=parts.port,
        protocol=parts.scheme,
        username=settings.etcd_username or None,
        password=password or None,
    )
    # the member's own connections: they have its certificates, send nothing again, and are dropped when it fails
    client.http.clear()
    client.http = member.pool
    return client


class _TimedOut(Exception):
    """Nothing happened in the time of a watch; the caller returns None."""


def _result(status: int, body: bytes) -> _Result:
    try:
        return msgspec.json.decode(body, type=_Result)
    except (msgspec.DecodeError, UnicodeError):
        raise MemberFailed(f"answered {status} with {body[:200]!r}") from None


def _error(error: etcd.EtcdException, refused: str, allow: tuple[int, ...]) -> _Error:
    """The error that etcd answered, if its code is in `allow`; else Rejected or MemberFailed."""
    payload: Mapping[str, Any] = error.payload or {}
    said = _Error(str(payload.get("message", error)), int(payload.get("errorCode", 0)), str(payload.get("cause", "")))
    if said.errorCode in allow:
        return said
    if said.errorCode in REJECTIONS or payload.get("status") in (401, 403):
        raise Rejected(f"{refused}: {said}")
    cause = getattr(error, "cause", None)
    sent = not isinstance(cause, NewConnectionError | ConnectTimeoutError)
    raise MemberFailed(str(cause or said), sent=sent)


def _headers(headers: Mapping[str, str]) -> tuple[int, str]:
    """The index and cluster id that the answer carries."""
    return int(headers.get("x-etcd-index", "0")), headers.get("x-etcd-cluster-id", "")


def _params(value: str, ttl: int | None) -> dict[str, str]:
    return {"value": value} | ({} if ttl is None else {"ttl": str(ttl)})
