"""The dictator's web app: PUT /master applies a topology, GET /master shows what came of it."""

import logging
import os
from functools import partial

import msgspec
from flask import Flask, Response, request

from dictator.apply import Dictator
from dictator.journal import Journal
from dictator.receipt import Receipt
from dictator.reporting import attach
from dictator.settings import Settings
from safe_redis import early
from safe_redis.errors import DocumentError
from safe_redis.logs import configure
from safe_redis.repeats import is_repeat
from safe_redis.settings import read
from safe_redis.topology import Topology
from safe_redis.version import Admitted, from_headers
from safe_redis.web import document_app, text

log = logging.getLogger(__name__)


def create() -> Flask:
    """The app, made of the environment; gunicorn calls it."""
    settings = read(Settings, os.environ)
    configure(settings)
    if settings.sends_password_anywhere:
        log.warning("ALLOWED_NETWORKS is not set: the password goes to any address that a document names")
    return make(Dictator(settings), settings)


def make(dictator: Dictator, settings: Settings | None = None) -> Flask:
    """The app around a dictator; without settings anybody may PUT."""
    admitted = Admitted()
    journal = Journal()

    def put(topology: Topology) -> Response:
        force, dry_run = _flag("force"), _flag("dry_run")
        if dry_run:
            return Response("\n".join(dictator.dry_run(topology, force=force)) + "\n", mimetype="text/plain")
        header, send = request.headers.get, request.environ.get("wsgi.early_hints")
        version, repeat = from_headers(header), is_repeat(header)
        admit, tell = partial(admitted.admit, version), partial(early.answer, header, send, str(topology.master))
        apply = partial(dictator.apply, topology, force=force, repeat=repeat, admit=admit, tell=tell)
        receipt = journal.record(topology, apply, force=force)
        return _answer(receipt)

    app = document_app("dictator", "/master", put, settings, dictator.repeats)
    attach(app, dictator, journal)

    @app.get("/master")
    def _state() -> Response:
        return Response(msgspec.json.encode(dictator.state()), mimetype="application/json")

    return app


def _answer(receipt: Receipt) -> Response:
    status = 202 if receipt.open else 200
    if request.accept_mimetypes.best_match(["text/plain", "application/json"]) == "application/json":
        return Response(receipt.json(), status=status, mimetype="application/json")
    still_open = f"; {receipt.open}" if receipt.open else ""
    lost = f"; discarded: {'; '.join(receipt.discarded)}" if receipt.discarded else ""
    return text(f"OK{still_open}{lost}", status)


def _flag(name: str) -> bool:
    value = request.args.get(name, "0")
    if value not in ("0", "1"):
        raise DocumentError(f"{name}={value!r} in the query: expected 0 or 1")
    return value == "1"
