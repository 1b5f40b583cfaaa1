"""Becomes gunicorn: one process, since locks and refreshers live in it, that serves by threads."""

import os
import resource
import ssl
import sys

from safe_redis.web import WebSettings

# connections at once, each with a thread as soon as it sends something; beyond, those that are slowest to send end
CONNECTIONS = 1000


def serve(factory: str, settings: WebSettings) -> None:
    """Never returns. Requests in flight have 30 s to end at SIGTERM."""
    host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    options = ["--bind", f"{host}:{settings.port}", "--worker-class", "safe_redis.worker.Worker", "--workers", "1"]
    options += ["--worker-connections", str(CONNECTIONS), "--threads", str(CONNECTIONS), "--keep-alive", "0"]
    options += ["--backlog", "1024", "--graceful-timeout", "30", "--timeout", "60"]
    options += ["--no-control-socket", "--log-level", "warning", *_tls(settings)]
    if os.path.isdir("/dev/shm"):  # noqa: PTH112, S108 - heartbeats need no disk
        options += ["--worker-tmp-dir", "/dev/shm"]  # noqa: S108 - the same
    _raise_open_files()
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *options, factory])  # noqa: S606 - no shell wanted


def _tls(settings: WebSettings) -> list[str]:
    """The options for https. The files are read anew for each connection."""
    if not settings.tls_cert_file:
        return []
    options = ["--certfile", settings.tls_cert_file]
    if settings.tls_key_file:
        options += ["--keyfile", settings.tls_key_file]
    if settings.tls_client_ca_file:
        options += ["--ca-certs", settings.tls_client_ca_file, "--cert-reqs", str(int(ssl.CERT_REQUIRED))]
    return options


def _raise_open_files() -> None:
    """Allow for all connections, and those that the service itself makes; a shell's usual limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = 16 * CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < enough:
        limit = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
