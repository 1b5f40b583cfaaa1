"""The same requests as in sandbox.keys through etcd's v3 API."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any

from sandbox.keys import Keys, KeysError


class KeysV3(Keys):
    """The keys of one etcd; a key with a TTL has a lease of its own."""

    def node(self, key: str, *, recursive: bool = False) -> dict[str, Any] | None:
        """The key's value and index under the v2 API's names; directories don't exist."""
        if recursive:
            raise KeysError("there are no directories in the v3 API")
        pairs = self.call("kv/range", {"key": _encode(key)}).get("kvs", [])
        if not pairs:
            return None
        value = b64decode(pairs[0].get("value", "")).decode()
        return {"key": key, "value": value, "modifiedIndex": int(pairs[0]["mod_revision"])}

    def put(self, key: str, value: str, ttl: int | None = None) -> None:
        """Write the value; without `ttl` (seconds) it stays."""
        lease = "0" if ttl is None else self.call("lease/grant", {"TTL": str(ttl)})["ID"]
        self.call("kv/put", {"key": _encode(key), "value": _encode(value), "lease": lease})

    def delete(self, key: str) -> None:
        """Remove the key; one that is gone already is fine."""
        self.call("kv/deleterange", {"key": _encode(key)})

    def healthy(self) -> bool:
        """Whether etcd has a leader; never raises."""
        try:
            _, answer = self._request("GET", "/health")
        except KeysError:
            return False
        return bool(answer.get("health") == "true")

    def call(self, path: str, body: Mapping[str, Any], *, token: str = "") -> Any:
        """The answer to a request of the JSON gateway."""
        connection = HTTPConnection(self._host, self._port, timeout=self._timeout)
        headers = {"Authorization": token} if token else {}
        try:
            connection.request("POST", f"/v3/{path}", json.dumps(body), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, HTTPException, ValueError) as error:
            raise KeysError(f"etcd at {self._host}:{self._port}: {error!r}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise KeysError(f"etcd at {self._host}:{self._port}, {path}: {response.status} {answer}")
        return answer


def _encode(text: str) -> str:
    return b64encode(text.encode()).decode()
