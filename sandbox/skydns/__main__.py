"""Runs the stand-in, with environment variables of the real SkyDNS.

ETCD_MACHINES (one URL, http://127.0.0.1:4001), SKYDNS_ADDR (127.0.0.1:53), SKYDNS_DOMAIN
(docker), LOG_LEVEL (INFO).
"""

import logging
import os
import signal
import sys
from types import FrameType

from sandbox.keys import Keys
from sandbox.skydns.server import Resolver, serve


def main() -> int:
    """Serve until SIGTERM."""
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    host, _, port = os.environ.get("SKYDNS_ADDR", "127.0.0.1:53").rpartition(":")
    keys = Keys(os.environ.get("ETCD_MACHINES", "http://127.0.0.1:4001"), keep=True)
    resolver = Resolver(keys, os.environ.get("SKYDNS_DOMAIN", "docker"))
    serve(resolver, host.strip("[]"), int(port))
    return 0


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


signal.signal(signal.SIGTERM, _end)
sys.exit(main())
