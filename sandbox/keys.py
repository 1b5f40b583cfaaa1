"""A few requests to etcd's v2 API over plain HTTP.

Apart from safe_redis/etcd on purpose: a stand-in that shared the product's client would share
its mistakes, too.
"""

import json
import threading
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from sandbox.web import request


class KeysError(Exception):
    """etcd can't be reached, or answers something other than a key."""


class Keys:
    """The keys of one etcd. Every request has a connection of its own and a deadline (seconds).

    With `keep`, each thread keeps a connection for what it reads.
    """

    def __init__(self, url: str, timeout: float = 2, *, keep: bool = False) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 4001
        self._timeout = timeout
        self._own = threading.local() if keep else None

    def node(self, key: str, *, recursive: bool = False) -> dict[str, Any] | None:
        """The key's node as etcd's v2 API has it, or None where there is no such key."""
        query = "?recursive=true" if recursive else ""
        status, answer = self._request("GET", quote(f"/v2/keys{key}") + query)
        if status == 404:
            return None
        node: dict[str, Any] = self._good(status, answer, key)["node"]
        return node

    def get(self, key: str) -> str | None:
        """The key's value, or None where there is no such key."""
        node = self.node(key)
        return None if node is None else node.get("value")

    def put(self, key: str, value: str, ttl: int | None = None) -> None:
        """Write the value; without `ttl` (seconds) it stays."""
        form = {"value": value} | ({} if ttl is None else {"ttl": str(ttl)})
        self._good(*self._request("PUT", quote(f"/v2/keys{key}"), form), key)

    def delete(self, key: str) -> None:
        """Remove the key; one that is gone already is fine."""
        status, answer = self._request("DELETE", quote(f"/v2/keys{key}"))
        if status != 404:
            self._good(status, answer, key)

    def healthy(self) -> bool:
        """Whether etcd has a leader and offers the v2 API; never raises."""
        try:
            _, answer = self._request("GET", "/health")
            return bool(answer.get("health") == "true" and self.node("/") is not None)
        except KeysError:
            return False

    def _request(self, method: str, path: str, form: Mapping[str, str] | None = None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        address, body = (self._host, self._port), urlencode(form or {})
        try:
            if self._own is not None and method == "GET":
                status, text = self._read(self._own, path)
            else:
                status, text, _ = request(address, method, path, body, headers=headers, timeout=self._timeout)
            return status, json.loads(text)
        except (OSError, HTTPException, ValueError) as error:
            raise KeysError(f"etcd at {self._host}:{self._port}: {error!r}") from error

    def _read(self, own: threading.local, path: str) -> tuple[int, str]:
        if not hasattr(own, "connection"):
            own.connection = HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            return _get(own.connection, path)
        except ConnectionError:  # etcd may have closed it since the last one
            return _get(own.connection, path)

    def _good(self, status: int, answer: Any, key: str) -> Any:
        if status not in (200, 201):
            raise KeysError(f"etcd at {self._host}:{self._port}, {key}: {status} {answer}")
        return answer


def _get(connection: HTTPConnection, path: str) -> tuple[int, str]:
    """Status and body; the connection is opened if need be, and kept if all goes well."""
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, HTTPException):
        connection.close()
        raise
