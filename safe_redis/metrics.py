"""GET /metrics and GET /readyz of a web service. Names follow Prometheus' conventions: docs/metrics.md lists them."""

from collections.abc import Callable

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, generate_latest

from safe_redis.errors import TopologyError
from safe_redis.web import text

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def blueprint(registry: CollectorRegistry, check: Callable[[], None]) -> Blueprint:
    """The two routes. `check` raises a TopologyError that says what can't be reached."""
    routes = Blueprint("metrics", __name__)

    @routes.get("/metrics")
    def _metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE)

    @routes.get("/readyz")
    def _readyz() -> Response:
        try:
            check()
        except TopologyError as error:
            return text(f"{type(error).__name__}: {error}", 503)
        return text("OK")

    return routes
