"""ON_SWITCH_URL: the receipt of each apply that changed something, sent as JSON after the fact.

A thread of its own sends it. A failure is logged and counted, and changes nothing.
"""

import logging
import queue
import threading
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter

from dictator.journal import Entry
from dictator.receipt import Receipt

log = logging.getLogger(__name__)

# s for the receiver to take a connection, and for each part of its answer
TIMEOUT = 5.0
# receipts that wait, at most
WAITING = 100


class Webhook:
    """Sends receipts to `url` (http or https), one after the other."""

    def __init__(self, url: str, registry: CollectorRegistry) -> None:
        self._url = url
        self._receipts: queue.Queue[Receipt] = queue.Queue(WAITING)
        self._sent = Counter("safe_redis_hooks", "Calls of ON_SWITCH_URL by result.", ["result"], registry=registry)
        threading.Thread(target=self._work, name="webhook", daemon=True).start()

    def note(self, entry: Entry) -> None:
        """Sends the entry's receipt soon, if it changed something. Returns at once."""
        if entry.receipt is None or not entry.receipt.changed:
            return
        try:
            self._receipts.put_nowait(entry.receipt)
        except queue.Full:
            log.warning("dropped a receipt for %s: %d are waiting", self._url, WAITING)
            self._sent.labels("dropped").inc()

    def _work(self) -> None:
        while True:
            receipt = self._receipts.get()
            try:
                status = self._post(receipt)
            except (OSError, HTTPException, ValueError) as error:
                log.warning("failed to send the receipt to %s: %r", self._url, error)
                self._sent.labels("failed").inc()
                continue
            good = 200 <= status < 300
            log.log(logging.INFO if good else logging.WARNING, "sent the receipt to %s: %d", self._url, status)
            self._sent.labels("sent" if good else "failed").inc()

    def _post(self, receipt: Receipt) -> int:
        parts = urlsplit(self._url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, receipt.json(), {"Content-Type": "application/json"})
            return connection.getresponse().status
        finally:
            connection.close()
