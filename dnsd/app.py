"""dnsd's web app: PUT /dns publishes the topology. Made once in the one gunicorn process."""

import os
import threading

from flask import Flask, Response, g, request

from dnsd import metrics
from dnsd.publisher import Publisher
from dnsd.settings import read
from safe_redis import logs, web
from safe_redis.metrics import blueprint
from safe_redis.repeats import is_repeat
from safe_redis.topology import Topology
from safe_redis.version import from_headers


def create() -> Flask:
    """The app, with the refresher running beside it."""
    settings, store = read(os.environ)
    logs.configure(settings)
    publisher = Publisher(store, settings)
    threading.Thread(target=publisher.keep_fresh, name="refresher", daemon=True).start()

    def prepare(topology: Topology) -> None:
        g.prepared = publisher.prepare(topology)

    def put(topology: Topology) -> Response:
        header = request.headers.get
        version, repeat, prepared = from_headers(header), is_repeat(header), g.get("prepared")
        left_out = publisher.publish(topology, version, repeat=repeat, prepared=prepared)
        if left_out:
            return web.text(f"published, but left out: {'; '.join(left_out)}", 202)
        return web.text("OK")

    app = web.document_app("dnsd", "/dns", put, settings, publisher.repeats, prepare=prepare)
    app.register_blueprint(blueprint(metrics.REGISTRY, publisher.check))
    metrics.watch_records(publisher.count_records)

    @app.after_request
    def _count(response: Response) -> Response:
        if request.method == "PUT":
            metrics.count_publication(response.status_code)
        return response

    return app
