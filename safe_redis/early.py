"""An interim answer to a PUT, before the work is done: the new master serves, and DNS may say so.

It is a 103 (Early Hints, RFC 8297). Only a request that asks for it gets one, since many HTTP clients take whatever
comes first for the answer.
"""

import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

# of a request that asks for it by "1"
REQUEST = "Topology-Early"
# of the interim answer: the master, as the document has it, and so in ASCII
MASTER = "Topology-Master"


def answer(
    header: Callable[[str], str | None], send: Callable[[list[tuple[str, str]]], Any] | None, master: str
) -> None:
    """Says that `master` serves, by the server's `wsgi.early_hints`, if the request asks for it.

    Its sender may have gone: that is logged, and the work goes on.
    """
    if send is None or header(REQUEST) != "1":
        return
    try:
        send([(MASTER, master)])
    except OSError as error:
        log.warning("could not tell the sender of the PUT that %s serves: %r", master, error)
