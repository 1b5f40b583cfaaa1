"""The web app of a service that takes the topology by PUT at one path, and its server.

Errors are one text/plain line `ErrorClass: message` with the status of their class.
"""

import ipaddress
import logging
import os
import sys
from collections.abc import Callable
from typing import Annotated

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from safe_redis.errors import SettingsError, TopologyError
from safe_redis.logs import LogSettings
from safe_redis.topology import MAX_BYTES, Topology, parse

log = logging.getLogger(__name__)

# what is read, at most, of a document that is too large, so that its sender gets to see the answer
DRAINED_BYTES = 16 * MAX_BYTES


class WebSettings(LogSettings, frozen=True, kw_only=True):
    """What a web service reads, besides what every service does: the IP address and the TCP port to listen on."""

    bind: str = "0.0.0.0"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8080

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.bind)
        except ValueError as error:
            raise SettingsError(f"BIND={self.bind!r}: {error}") from None


def text(body: str, status: int = 200) -> Response:
    """One line of text/plain, whatever `body` holds."""
    line = " ".join(part.strip() for part in body.splitlines())
    return Response(f"{line}\n".encode(errors="backslashreplace"), status=status, mimetype="text/plain")


def document_app(name: str, path: str, put: Callable[[Topology], Response]) -> Flask:
    """An app that hands the document of a PUT at `path` on; GET /healthz tells that it lives."""
    app = Flask(name, static_folder=None)
    # a body that is sent in chunks is cut off at this length without a word: one more byte tells
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES + 1

    @app.put(path)
    def _put() -> Response:
        body = request.get_data(cache=False)
        if len(body) > MAX_BYTES:
            raise RequestEntityTooLarge
        return put(parse(body))

    @app.get("/healthz")
    def _healthz() -> Response:
        return text("OK")

    app.register_error_handler(TopologyError, _failed)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)
    return app


def _failed(error: TopologyError) -> Response:
    line = f"{type(error).__name__}: {error}"
    level = logging.ERROR if error.status == 500 else logging.WARNING
    log.log(level, "answered %d: %s", error.status, line)
    answer = text(line, error.status)
    answer.headers.extend(error.headers)
    return answer


def _http(error: HTTPException) -> Response:
    code = error.code or 500
    line = f"{type(error).__name__}: {request.method} {request.path}: {error.description}"
    if code == 413:
        _drain()
        line = f"{type(error).__name__}: the document is larger than {MAX_BYTES} bytes"
    answer = text(line, code)
    answer.headers.extend(header for header in error.get_headers() if header[0] == "Allow")
    return answer


def _drain() -> None:
    # closing a connection with unread data resets it, and the answer may be lost on the way
    stream = request.environ["wsgi.input"]
    left = DRAINED_BYTES
    while left > 0 and (chunk := stream.read(min(left, 1 << 16))):
        left -= len(chunk)


def _unexpected(error: Exception) -> Response:
    log.error("failed on %s %s", request.method, request.path, exc_info=error)
    return text(f"{type(error).__name__}: an error of the service itself, see its log", 500)


def serve(factory: str, settings: WebSettings, threads: int) -> None:
    """Becomes gunicorn: one process (locks and refreshers live in it). Never returns.

    `threads` requests are served at once. gthread lets requests in flight finish at SIGTERM; the
    other kinds of worker drop them or block /healthz.
    """
    host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    options = ["--bind", f"{host}:{settings.port}", "--worker-class", "gthread", "--workers", "1"]
    options += ["--threads", str(threads), "--graceful-timeout", "30", "--timeout", "60"]
    options += ["--no-control-socket", "--log-level", "warning"]
    if os.path.isdir("/dev/shm"):  # noqa: PTH112, S108 - heartbeats need no disk
        options += ["--worker-tmp-dir", "/dev/shm"]  # noqa: S108 - the same
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *options, factory])  # noqa: S606 - no shell wanted
