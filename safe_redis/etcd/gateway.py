"""etcd's v3 API as JSON over HTTP: requests, their errors, and the token that says who we are.

Members differ in the form of an error: etcd 3.4 and 3.5 send `error` and `code`, 3.6 `code` and
`message`. The codes are those of gRPC.
"""

import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from safe_redis.errors import Rejected, StoreError
from safe_redis.etcd.failure import MemberFailed
from safe_redis.etcd.members import Member, Members
from safe_redis.etcd.settings import EtcdSettings
from safe_redis.etcd.stream import Stream

T = TypeVar("T")

# Of gRPC: about the request itself, so that another member would say the same
INVALID, NOT_FOUND, EXISTS, DENIED, PRECONDITION, RANGE, UNIMPLEMENTED, UNAUTHENTICATED = 3, 5, 6, 7, 9, 11, 12, 16
REJECTIONS = {INVALID, NOT_FOUND, EXISTS, DENIED, PRECONDITION, RANGE, UNIMPLEMENTED, UNAUTHENTICATED}
# What etcd says where a token is missing, has expired, or is older than a change of users
STALE_TOKEN = ("user name is empty", "invalid auth token", "revision of auth store is old")
LEASE_GONE = "requested lease not found"


class Header(msgspec.Struct, frozen=True):
    """What every answer carries: etcd's revision, and which cluster it is."""

    cluster_id: int = 0
    revision: int = 0

    @property
    def cluster(self) -> str:
        """The cluster's id in the form of the v2 API."""
        return f"{self.cluster_id:x}"


class LeaseGone(StoreError):
    """The lease has expired, or was revoked."""


class Refusal(msgspec.Struct, frozen=True):
    """An error as a member sends it; a stream's has other names for the same."""

    code: int = 0
    grpc_code: int = 0
    message: str = ""

    def raised(self, what: str, member: Member) -> StoreError:
        """The error that says it to the caller."""
        if LEASE_GONE in self.message:
            return LeaseGone(f"etcd at {member.url} failed to {what}: {self.message}")
        if (self.code or self.grpc_code) in REJECTIONS or "permission denied" in self.message:
            return Rejected(f"etcd at {member.url} refused to {what}: {self.message}")
        return MemberFailed(self.message)


class RefusedByMember(Exception):
    """A member answered with an error; caught in here, where the token may have to be renewed."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class _Token(msgspec.Struct, frozen=True):
    token: str = ""


class Gateway:
    """Requests to whichever member answers. Any thread may use it."""

    def __init__(self, members: tuple[str, ...], settings: EtcdSettings, variable: str) -> None:
        self._members = Members(members, settings, variable)
        self._username = settings.etcd_username
        self._password = settings.password
        self._token = ""
        self._renewing = threading.Lock()

    def call(self, what: str, path: str, body: Mapping[str, Any], kind: type[T], *, once: bool = False) -> T:
        """The answer to one request; `what` is for the errors, `once` is as in Members.ask."""

        def request(member: Member) -> T:
            return self._identified(member, what, lambda token: _call(member, path, body, kind, token))

        return self._members.ask(what, request, once=once)

    def stream(self, what: str, path: str, body: Mapping[str, Any], read: Callable[[Stream], T]) -> T:
        """The result of `read` on an answer that goes on until we close it."""

        def request(member: Member) -> T:
            return self._identified(member, what, lambda token: _stream(member, path, body, read, token))

        return self._members.ask(what, request)

    def _identified(self, member: Member, what: str, request: Callable[[str], T]) -> T:
        """The result of `request` with our token; once more with a new one where etcd asks for it."""
        token = self._token
        try:
            return request(token)
        except RefusedByMember as error:
            stale = any(text in error.refusal.message for text in STALE_TOKEN)
            if not stale or not self._username:
                raise error.refusal.raised(what, member) from None
        try:
            return request(self._renewed(token, member))
        except RefusedByMember as error:
            raise error.refusal.raised(what, member) from None

    def _renewed(self, stale: str, member: Member) -> str:
        with self._renewing:
            if self._token == stale:  # else another thread has renewed it
                body = {"name": self._username, "password": self._password}
                self._token = _call(member, "auth/authenticate", body, _Token, "").token
            return self._token


def encode(text: str) -> str:
    """A key or value as the gateway takes it."""
    return b64encode(text.encode()).decode()


def decoded(answer: bytes, kind: type[T]) -> T:
    """An answer's JSON; etcd writes 64-bit numbers as strings."""
    try:
        return msgspec.convert(msgspec.json.decode(answer), kind, strict=False)
    except (msgspec.MsgspecError, UnicodeError):
        raise MemberFailed(f"answered {answer[:200]!r}") from None


def _call(member: Member, path: str, body: Mapping[str, Any], kind: type[T], token: str) -> T:
    answer = member.send("POST", f"/v3/{path}", headers=_headers(token), body=msgspec.json.encode(body))
    if answer.status != 200:
        raise RefusedByMember(_refusal(answer.status, answer.body))
    return decoded(answer.body, kind)


def _stream(member: Member, path: str, body: Mapping[str, Any], read: Callable[[Stream], T], token: str) -> T:
    with member.stream(f"/v3/{path}", headers=_headers(token), body=msgspec.json.encode(body)) as stream:
        if stream.status != 200:
            raise RefusedByMember(_refusal(stream.status, stream.rest()))
        return read(stream)


def _refusal(status: int, body: bytes) -> Refusal:
    try:
        # a stream's error is one level below
        answer = msgspec.json.decode(body, type=dict)
        nested = answer.get("error")
        return msgspec.convert(nested if isinstance(nested, dict) else answer, Refusal)
    except (msgspec.MsgspecError, UnicodeError):
        raise MemberFailed(f"answered {status} with {body[:200]!r}") from None


def _headers(token: str) -> dict[str, str]:
    # "hasleader": a watch on a member that has lost its leader ends instead of going on in silence
    headers = {"Content-Type": "application/json", "Grpc-Metadata-hasleader": "true"}
    return headers | ({"Authorization": token} if token else {})
