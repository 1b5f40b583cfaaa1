"""Every value that a key has had, from etcd's history: a poll would miss what was there for a moment only."""

import json
from http.client import HTTPConnection
from typing import Any

from sandbox.etcd import EtcdServer


class History:
    """The values of `key` since the index `since`. etcd keeps the last 1000 events of all keys."""

    def __init__(self, etcd: EtcdServer, key: str, start: int) -> None:
        self._etcd = etcd
        self._key = key
        self._next = start
        self.values: list[str | None] = []

    def read(self) -> list[str | None]:
        """All of them until now, the oldest first; None where the key was deleted or has expired."""
        # an event of our own, which is the last that has to be read
        self._etcd.keys.put("/tests/now", "")
        now = self._etcd.keys.node("/tests/now")
        assert now is not None
        while (event := self._event()) and event["node"]["modifiedIndex"] < now["modifiedIndex"]:
            self._next = event["node"]["modifiedIndex"] + 1
            self.values.append(event["node"].get("value"))
        return self.values

    def _event(self) -> dict[str, Any] | None:
        connection = HTTPConnection("127.0.0.1", self._etcd.port, timeout=0.3)
        try:
            connection.request("GET", f"/v2/keys{self._key}?wait=true&waitIndex={self._next}")
            event = json.loads(connection.getresponse().read())
        except TimeoutError:
            return None
        finally:
            connection.close()
        assert "node" in event, f"etcd has forgotten events: {event}"
        return dict(event)
