"""The web app of a service that takes the topology by PUT at one path.

Errors are one text/plain line `ErrorClass: message` with the status of their class.
"""

import ipaddress
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hmac import compare_digest
from typing import Annotated

import msgspec
from flask import Flask, Response, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from safe_redis import early
from safe_redis import settings as environment
from safe_redis.errors import DocumentError, SettingsError, TopologyError, Unauthorized, Unavailable, Withdrawn
from safe_redis.logs import LogSettings
from safe_redis.repeats import OUTCOME, Repeats, is_repeat
from safe_redis.tls import check_server_files
from safe_redis.topology import MAX_BYTES, Topology, parse

log = logging.getLogger(__name__)

# what is read, at most, of a document that is too large, so that its sender gets to see the answer
DRAINED_BYTES = 16 * MAX_BYTES
# in the environ: what to call when the request has been received in full
RECEIVED = "safe_redis.received"
# in the environ: reads so many bytes of the body, if it has a length; the server's input reads on to the next kilobyte
READ = "safe_redis.read"


class WebSettings(LogSettings, frozen=True, kw_only=True):
    """What a web service reads: where it listens (an IP address and a port), who may PUT, and its certificate (PEM)."""

    bind: str = "0.0.0.0"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8080
    # what a PUT must carry as `Authorization: Bearer TOKEN`; nothing: anybody may PUT
    token: str = ""
    token_file: str = ""
    # with a certificate the service speaks https; with a CA for clients, only to those who have a certificate of it
    tls_cert_file: str = ""
    tls_key_file: str = ""
    tls_client_ca_file: str = ""

    @property
    def access_token(self) -> str:
        """TOKEN, or the first line of TOKEN_FILE as it is now."""
        return environment.token(self.token, self.token_file)

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.bind)
        except ValueError as error:
            raise SettingsError(f"BIND={self.bind!r}: {error}") from None
        _ = self.access_token
        check_server_files("TLS", self.tls_cert_file, self.tls_key_file, self.tls_client_ca_file)


def text(body: str, status: int = 200) -> Response:
    """One line of text/plain, whatever `body` holds."""
    line = " ".join(part.strip() for part in body.splitlines())
    return Response(f"{line}\n".encode(errors="backslashreplace"), status=status, mimetype="text/plain")


def document_app(
    name: str,
    path: str,
    put: Callable[[Topology], Response],
    settings: WebSettings | None = None,
    repeats: Repeats | None = None,
    *,
    prepare: Callable[[Topology], None] | None = None,
) -> Flask:
    """An app that hands the document of a PUT at `path` on; GET /healthz tells that it lives.

    `repeats` keeps failures that go on from being logged each time. `prepare` is called with the document of a PUT that
    is held, see safe_redis.early, before it is known whether it shall be done.
    """
    app = Flask(name, static_folder=None)
    # a body that is sent in chunks is cut off at this length without a word: one more byte tells
    app.config["MAX_CONTENT_LENGTH"] = MAX_BYTES + 1
    if settings is not None and not settings.access_token:
        log.warning("TOKEN is not set: whoever reaches port %d may PUT %s", settings.port, path)

    @app.put(path)
    def _put() -> Response:
        return put(parse(receive(settings, prepare)))

    @app.get("/healthz")
    def _healthz() -> Response:
        return text("OK")

    _handle_errors(app, repeats or Repeats(log))
    return app


def receive(settings: WebSettings | None, prepare: Callable[[Topology], None] | None = None) -> bytes:
    """The body of the request, if it carries the token; without settings none is asked for.

    `prepare` as in document_app; Withdrawn where a PUT that is held shall not be done.
    """
    if settings is not None:
        _authorize(settings)
    body = _held_body(prepare) if prepare and request.headers.get(early.HELD) == "1" else _body()
    # from here on the server waits for us, not for the client
    request.environ.get(RECEIVED, _nothing)()
    return body


def _authorize(settings: WebSettings) -> None:
    """Unauthorized unless the request carries the token; Unavailable if the token can't be read."""
    try:
        token = settings.access_token
    except SettingsError as error:
        raise Unavailable(str(error)) from None
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if token and not (scheme.lower() == "bearer" and compare_digest(given.strip().encode(), token.encode())):
        raise Unauthorized("the request has no token, or another one than TOKEN; send Authorization: Bearer TOKEN")


def _held_body(prepare: Callable[[Topology], None]) -> bytes:
    """The body; `prepare` is called when only its last byte is missing. If that fails, so will the PUT itself."""
    read, length = request.environ.get(READ), request.content_length or 0
    if read is None or not 0 < length <= MAX_BYTES:
        return _body()
    body = b""
    try:
        body = read(length - 1)
        try:
            prepare(parse(body + b"}"))
        except TopologyError as error:
            log.debug("could not get ready for a PUT: %s", error)
        body += read(1)
    except OSError as error:
        log.debug("lost a PUT that was held: %r", error)
    # at the end of the connection there is less
    if len(body) < length:
        raise Withdrawn("the PUT was held, and not completed")
    return body


def _body() -> bytes:
    try:
        body = request.get_data(cache=False)
    except (OSError, ParseException) as error:  # the end of the connection, or a malformed chunk
        raise DocumentError(f"the body can't be read: {error}") from None
    if len(body) > MAX_BYTES:
        raise RequestEntityTooLarge
    return body


def _nothing() -> None:
    """There is no server that wants to know."""


def _handle_errors(app: Flask, repeats: Repeats) -> None:
    app.register_error_handler(TopologyError, partial(_failed, repeats))
    app.register_error_handler(Withdrawn, _withdrawn)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _failed(repeats: Repeats, error: TopologyError) -> Response:
    line = f"{type(error).__name__}: {error}"
    level = logging.ERROR if error.status == 500 else logging.WARNING
    # whoever has no token can't keep anything out of the log
    if isinstance(error, Unauthorized) or not is_repeat(request.headers.get):
        repeats.forget()
    repeats.log(level, OUTCOME, f"answered {error.status}: {line}")
    if isinstance(error, Unauthorized):
        _drain()  # it was refused before its body was read
    answer = text(line, error.status)
    answer.headers.extend(error.headers)
    return answer


def _withdrawn(error: Withdrawn) -> Response:
    """Nobody is there to read it; nothing has failed."""
    log.info("did nothing: %s", error)
    return text(f"{type(error).__name__}: {error}", error.status)


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
    with suppress(OSError, ParseException):
        while left > 0 and (chunk := stream.read(min(left, 1 << 16))):
            left -= len(chunk)


def _unexpected(error: Exception) -> Response:
    log.error("failed on %s %s", request.method, request.path, exc_info=error)
    return text(f"{type(error).__name__}: an error of the service itself, see its log", 500)
