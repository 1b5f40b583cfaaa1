"""The observer's metrics, and the small web server for them, /healthz and /readyz at METRICS_PORT."""

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from safe_redis.errors import TopologyError

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# s for a client to send its request
REQUEST_TIMEOUT = 10.0

REGISTRY = CollectorRegistry()
RUNS = Counter("safe_redis_runs", "Runs by state.", ["state"], registry=REGISTRY)
LAST_APPLIED = Gauge("safe_redis_last_applied_timestamp_seconds", "When a run was last applied.", registry=REGISTRY)
for _state in ("applied", "open", "refused", "failed", "undefined", "paused"):
    RUNS.labels(_state)  # from 0, so that the first one is an increase
RETRIES = Counter("safe_redis_run_retries", "Runs that repeated one that wasn't done.", registry=REGISTRY)
EVENTS = Counter("safe_redis_watch_triggers", "Triggers seen.", registry=REGISTRY)
WATCH_FAILURES = Counter("safe_redis_watch_failures", "Requests to etcd that failed.", registry=REGISTRY)
PAUSED = Gauge(
    "safe_redis_observer_paused_since_timestamp_seconds", "When the pause began.", ["reason"], registry=REGISTRY
)


def count_run(state: str) -> None:
    """Counts a run that has ended."""
    RUNS.labels(state).inc()
    if state == "applied":
        LAST_APPLIED.set_to_current_time()


def show_pause(paused_at: float | None, reason: str = "") -> None:
    """Shows the pause, or that there is none."""
    PAUSED.clear()
    if paused_at is not None:
        PAUSED.labels(reason).set(paused_at)


def serve(port: int, check: Callable[[], None]) -> None:
    """Serves in a daemon thread. OSError where the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_TIMEOUT

        def do_GET(self) -> None:
            status, kind, body = _answer(self.path, check)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            log.debug(format, *args)

    server = ThreadingHTTPServer(("", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def _answer(path: str, check: Callable[[], None]) -> tuple[int, str, bytes]:
    match path:
        case "/metrics":
            return 200, CONTENT_TYPE, generate_latest(REGISTRY)
        case "/healthz":
            return 200, "text/plain", b"OK\n"
        case "/readyz":
            try:
                check()
            except TopologyError as error:
                return 503, "text/plain", f"{type(error).__name__}: {error}\n".encode()
            return 200, "text/plain", b"OK\n"
    return 404, "text/plain", b"NotFound: known are /metrics, /healthz and /readyz\n"
