"""Serves the page and its two files, and the history."""

import threading
import time
from typing import Any

import msgspec
from flask import Blueprint, Response, render_template

from dictator.apply import Dictator
from dictator.journal import Journal
from dictator.page.view import make
from dictator.settings import Settings
from safe_redis.web import receive, text

# nothing is loaded from elsewhere, and nothing may be embedded elsewhere
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# however many look at the page, the instances are asked once in this time (s)
FRESH = 1.0


class Snapshot:
    """What the instances say, asked anew when it is older than FRESH."""

    def __init__(self, dictator: Dictator) -> None:
        self._dictator = dictator
        self._lock = threading.Lock()
        self._taken = -FRESH
        self._instances: list[dict[str, Any]] = []

    def instances(self) -> list[dict[str, Any]]:
        """As GET /master has them."""
        with self._lock:
            if time.monotonic() - self._taken >= FRESH:
                self._instances = msgspec.to_builtins(self._dictator.state()["instances"])
                self._taken = time.monotonic()
            return self._instances


def blueprint(snapshot: Snapshot, journal: Journal, settings: Settings) -> Blueprint:
    """`/`, `/page.css`, `/page.js` and `/history`."""
    pages = Blueprint("page", __name__, template_folder=".", static_folder=None)

    @pages.get("/")
    def _page() -> Response:
        view = make(journal.wanted, snapshot.instances(), journal.history())
        return Response(render_template("page.html", view=view), mimetype="text/html", headers=HEADERS)

    @pages.get("/page.css")
    def _style() -> Response:
        return _file(pages, "page.css", "text/css")

    @pages.get("/page.js")
    def _script() -> Response:
        return _file(pages, "page.js", "text/javascript")

    @pages.get("/history")
    def _history() -> Response:
        return Response(msgspec.json.encode(journal.history()), mimetype="application/json")

    @pages.put("/history")
    def _restore() -> Response:
        journal.restore(receive(settings))
        return text("OK")

    return pages


def _file(pages: Blueprint, name: str, kind: str) -> Response:
    with pages.open_resource(name, "rb") as file:
        return Response(file.read(), mimetype=kind)
