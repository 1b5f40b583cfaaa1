"""The health check of a web service's container: `python -m safe_redis.health`, with the service's environment."""

import os
import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection

TIMEOUT = 2.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def main() -> int | str:
    """0 if GET /healthz is answered 200, else what is wrong, for sys.exit()."""
    bind = os.environ.get("BIND") or "0.0.0.0"
    host, port = EVERYWHERE.get(bind, bind), int(os.environ.get("PORT") or 8080)
    try:
        connection = _connection(host, port)
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        if isinstance(error, ssl.SSLError) and "CERTIFICATE_REQUIRED" in str(error.reason):
            return 0  # it lives: it has answered that it wants a certificate, which isn't ours to give
        return f"{host}:{port}: {error!r}"
    return 0 if status == 200 else f"{host}:{port}: answered {status}"


def _connection(host: str, port: int) -> HTTPConnection:
    if not os.environ.get("TLS_CERT_FILE"):
        return HTTPConnection(host, port, timeout=TIMEOUT)
    context = ssl.create_default_context()
    # whether the certificate is good for others is not asked here
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return HTTPSConnection(host, port, timeout=TIMEOUT, context=context)


if __name__ == "__main__":
    sys.exit(main())
