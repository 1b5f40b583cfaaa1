"""The web app of a service that takes the topology by PUT at one path, and the server that it runs in.

Errors are one text/plain line `ErrorClass: message` with the status of their class.
"""

import logging
import os
import re
import sys
from collections.abc import Callable
from typing import Annotated

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from topology.errors import TopologyError
from topology.model import MAX_BYTES, Topology, parse

log = logging.getLogger(__name__)


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a web service reads to listen: the IP address and the TCP port."""

    bind: str = "0.0.0.0"  # noqa: S104 - inside a container, the published port decides who may connect
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8080


def text(body: str, status: int = 200) -> Response:
    """One line of text/plain, whatever `body` holds."""
    return Response(re.sub(r"\s*[\r\n]+\s*", " ", body) + "\n", status=status, mimetype="text/plain")


def one_put(name: str, path: str, put: Callable[[Topology], Response]) -> Flask:
    """An app that parses the document of a PUT at `path` and hands it on; GET /healthz says that the process lives."""
    app = Flask(name)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES

    @app.put(path)
    def _put() -> Response:
        return put(parse(request.get_data(cache=False)))

    @app.get("/healthz")
    def _healthz() -> Response:
        return text("OK")

    app.register_error_handler(TopologyError, _told)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)
    return app


def _told(error: TopologyError) -> Response:
    line = f"{type(error).__name__}: {error}"
    log.log(logging.ERROR if error.status == 500 else logging.WARNING, "answered %d: %s", error.status, line)
    return text(line, error.status)


def _http(error: HTTPException) -> Response:
    code = error.code or 500
    line = f"{type(error).__name__}: {request.method} {request.path}: {error.description}"
    if code == 413:
        line = f"{type(error).__name__}: the document is larger than {MAX_BYTES} bytes"
    answer = text(line, code)
    answer.headers.extend(header for header in error.get_headers() if header[0] == "Allow")
    return answer


def _unexpected(error: Exception) -> Response:
    log.exception("failed on %s %s", request.method, request.path)
    return text(f"{type(error).__name__}: an error of the service itself, see its log", 500)


def serve(factory: str, settings: WebSettings, threads: int) -> None:
    """Becomes gunicorn: one process (locks and refreshers live in it), `threads` requests at once. Never returns.

    gthread lets requests in flight finish at SIGTERM; the other worker kinds drop them or block /healthz.
    """
    host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    options = ["--bind", f"{host}:{settings.port}", "--worker-class", "gthread", "--workers", "1"]
    options += ["--threads", str(threads), "--graceful-timeout", "30", "--timeout", "60"]
    options += ["--no-control-socket", "--worker-tmp-dir", "/dev/shm", "--log-level", "warning"]  # noqa: S108 - heartbeats need no disk
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *options, factory])  # noqa: S606 - no shell wanted
