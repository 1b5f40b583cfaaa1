"""An interim answer to a PUT, before the work is done: the new master serves, and DNS may say so.

It is a 103 (Early Hints, RFC 8297). Only a request that asks for it gets one, since many HTTP clients take whatever
comes first for the answer.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

log = logging.getLogger(__name__)

# of a request that asks for it by "1"
REQUEST = "Topology-Early"
# of the interim answer: the master, as the document has it, and so in ASCII
MASTER = "Topology-Master"


def hint(environ: Mapping[str, Any], master: str) -> Callable[[], None]:
    """What sends the interim answer to the request of this WSGI environ; it does nothing where none is asked for.

    Its sender may have gone: that is logged, and the work goes on.
    """
    send = environ.get("wsgi.early_hints")
    if send is None or environ.get("HTTP_" + REQUEST.upper().replace("-", "_")) != "1":
        return _nothing

    def tell() -> None:
        try:
            send([(MASTER, master)])
        except OSError as error:
            log.warning("could not tell the sender of the PUT that %s serves: %r", master, error)

    return tell


def _nothing() -> None:
    """Nobody wants to know."""
