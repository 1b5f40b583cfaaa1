"""The store on etcd's v2 API: plain HTTP, which etcd has up to 3.5 (from 3.4 on by --enable-v2)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from urllib3.exceptions import ReadTimeoutError

from safe_redis.errors import Rejected
from safe_redis.etcd.failure import MemberFailed
from safe_redis.etcd.members import Answer, Member, Members, basic_auth
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


class StoreV2:
    """See Store for what the methods promise."""

    def __init__(self, members: tuple[str, ...], settings: EtcdSettings, variable: str = "ETCD_PEERS") -> None:
        self._members = Members(members, settings, variable)
        self._auth = basic_auth(settings.etcd_username, settings.password)

    def get(self, key: str) -> Node | None:
        return self.read(key).node

    def read(self, key: str) -> Reading:
        answer, result = self._send(f"read {key}", "GET", key, allow=(NOT_FOUND,))
        node = result.node.node() if isinstance(result, _Result) and not result.node.dir else None
        return Reading(node, *_headers(answer))

    def children(self, key: str) -> dict[str, Node]:
        return self.read_children(key).nodes

    def read_children(self, key: str) -> Listing:
        answer, result = self._send(f"list {key}", "GET", key, allow=(NOT_FOUND,))
        found = result.node.nodes if isinstance(result, _Result) else ()
        nodes = {child.key.rpartition("/")[2]: child.node() for child in found if not child.dir}
        return Listing(nodes, *_headers(answer))

    def put(self, key: str, value: str, ttl: int | None = None) -> int:
        _, result = self._send(f"write {key}", "PUT", key, form=_form(value, ttl))
        assert isinstance(result, _Result)  # noqa: S101 - any error that isn't allowed has been raised
        return result.node.modifiedIndex

    def swap(self, key: str, value: str, ttl: int | None, index: int) -> int | None:
        condition = {"prevIndex": str(index)} if index else {"prevExist": "false"}
        lost = (NOT_FOUND, COMPARE_FAILED, EXISTS)
        _, result = self._send(f"swap {key}", "PUT", key, form=_form(value, ttl) | condition, allow=lost, once=True)
        return result.node.modifiedIndex if isinstance(result, _Result) else None

    def delete(self, key: str) -> None:
        self._send(f"delete {key}", "DELETE", key, allow=(NOT_FOUND,))

    def watch(self, key: str, index: int, timeout: float) -> Event | None:
        query = f"?wait=true&waitIndex={index}"
        try:
            answer, result = self._send(f"watch {key}", "GET", key, query, allow=(CLEARED,), timeout=timeout)
        except _TimedOut:
            return None
        if isinstance(result, _Error):
            raise Cleared(f"etcd can't watch {key} from {index} on: {result}")
        return Event(result.node.node(), result.action in ("delete", "expire"), _headers(answer)[1])

    def _send(
        self,
        what: str,
        method: str,
        key: str,
        query: str = "",
        *,
        form: Mapping[str, str] | None = None,
        allow: tuple[int, ...] = (),
        timeout: float | None = None,
        once: bool = False,
    ) -> tuple[Answer, _Result | _Error]:
        """The answer and what it says: a result, or an error whose code is in `allow`."""
        headers = self._auth | ({"Content-Type": "application/x-www-form-urlencoded"} if form else {})
        body = urlencode(form).encode() if form else None
        path = quote(f"/v2/keys{key}") + query

        def request(member: Member) -> tuple[Answer, _Result | _Error]:
            try:
                answer = member.send(method, path, headers=headers, body=body, timeout=timeout)
            except MemberFailed as failed:
                if timeout and isinstance(failed.__cause__, ReadTimeoutError):
                    raise _TimedOut from None
                raise
            return answer, _result(answer, f"etcd at {member.url} refused to {what}", allow)

        return self._members.ask(what, request, once=once)


class _TimedOut(Exception):
    """Nothing happened in the time of a watch; the caller returns None."""


def _result(answer: Answer, refused: str, allow: tuple[int, ...]) -> _Result | _Error:
    kind: Any = _Result if answer.status in (200, 201) else _Error
    try:
        result: _Result | _Error = msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeError):
        raise MemberFailed(f"answered {answer.status} with {answer.body[:200]!r}") from None
    if isinstance(result, _Result) or result.errorCode in allow:
        return result
    if result.errorCode in REJECTIONS or answer.status in (401, 403):
        raise Rejected(f"{refused}: {result}")
    raise MemberFailed(str(result))


def _headers(answer: Answer) -> tuple[int, str]:
    """The index and cluster id that the answer carries."""
    return int(answer.headers.get("x-etcd-index", "0")), answer.headers.get("x-etcd-cluster-id", "")


def _form(value: str, ttl: int | None) -> dict[str, str]:
    return {"value": value} | ({} if ttl is None else {"ttl": str(ttl)})
