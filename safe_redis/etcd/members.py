"""Sends requests to etcd's members, one after the other until one answers.

Nothing is sent again behind the caller's back: urllib3's own retries are off, and each member gets
a request at most once. After a failure the next member is asked, and is asked first from then on.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import msgspec
import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from safe_redis.errors import SettingsError, StoreError
from safe_redis.etcd.failure import MemberFailed
from safe_redis.etcd.settings import EtcdSettings, member_url
from safe_redis.etcd.stream import Stream

R = TypeVar("R")

# a member that doesn't take connections must not use up the time of those that do
CONNECT_TIMEOUT = 2.0
# connections kept to a member; dnsd writes with up to eight threads
KEPT = 10


class Answer(msgspec.Struct, frozen=True):
    """A member's answer: HTTP status, headers in lower case, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Member:
    """One member of etcd, with connections of its own."""

    def __init__(self, url: str, settings: EtcdSettings) -> None:
        self.url = url
        self._timeout = settings.etcd_timeout
        self.pool = urllib3.PoolManager(
            maxsize=KEPT,
            retries=False,
            cert_file=settings.etcd_cert_file or None,
            key_file=settings.etcd_key_file or None,
            ca_certs=settings.etcd_ca_file or None,
        )

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """The member's answer within `timeout` seconds (ETCD_TIMEOUT); MemberFailed without one."""
        limits = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=timeout or self._timeout)
        try:
            response = self.pool.request(method, self.url + path, headers=headers, body=body, timeout=limits)
        except HTTPError as error:
            raise _failed(error) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, response.data)

    @contextmanager
    def stream(self, path: str, *, headers: Mapping[str, str], body: bytes) -> Iterator[Stream]:
        """The answer to a POST, read bit by bit; it is closed at the end of the `with`."""
        limits = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=self._timeout)
        try:
            response = self.pool.request(
                "POST", self.url + path, headers=headers, body=body, timeout=limits, preload_content=False
            )
        except HTTPError as error:
            raise _failed(error) from error
        try:
            yield Stream(response)
        finally:
            response.close()

    def forget(self) -> None:
        """Drop the connections that are kept."""
        self.pool.clear()


class Members:
    """The members at `urls`; `variable` is where the URLs come from, for the error about a bad one."""

    def __init__(self, urls: tuple[str, ...], settings: EtcdSettings, variable: str) -> None:
        if not urls:
            raise SettingsError(f"{variable} names no etcd member")
        self._members = tuple(Member(member_url(variable, url), settings) for url in urls)
        self._lock = threading.Lock()
        self._at = 0

    def ask(self, what: str, request: Callable[[Member], R], *, once: bool = False) -> R:
        """The result of `request` with the first member that answers; StoreError without one.

        With `once`, no other member is asked if one may have got the request.
        """
        failures: list[str] = []
        for _ in self._members:
            with self._lock:
                member = self._members[self._at]
            try:
                return request(member)
            except MemberFailed as error:
                failures.append(f"{member.url}: {error}")
                self._leave(member)
                if once and error.sent:
                    break
        raise StoreError(f"etcd failed to {what}: {'; '.join(failures)}")

    def _leave(self, member: Member) -> None:
        member.forget()
        with self._lock:
            # another thread may have gone on to the next member already
            if self._members[self._at] is member:
                self._at = (self._at + 1) % len(self._members)


def _failed(error: HTTPError) -> MemberFailed:
    return MemberFailed(str(error), sent=not isinstance(error, NewConnectionError | ConnectTimeoutError))
