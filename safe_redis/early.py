"""Interim answers to a PUT, before the work is done, so that DNS need not wait for all of it.

They are 103 (Early Hints, RFC 8297). Only a request that asks for them gets any, since many HTTP clients take whatever
comes first for the answer.
"""

import logging
from collections.abc import Callable
from enum import Enum
from typing import Any

log = logging.getLogger(__name__)

# "1" in a request that asks for interim answers
REQUEST = "Topology-Early"
# "1" in a request whose last byte, a brace, is held back until the work is to be done; its receiver gets ready
HELD = "Topology-Held"


class Hint(Enum):
    """What an interim answer says: the name of its header, whose value is the wanted master, in ASCII as it was PUT."""

    TARGET = "Topology-Target"
    """It is about to be promoted, unless something still fails."""
    MASTER = "Topology-Master"
    """It serves; its slaves are on their way."""


def answer(
    header: Callable[[str], str | None],
    send: Callable[[list[tuple[str, str]]], Any] | None,
    master: str,
    hint: Hint,
) -> None:
    """Says `hint` of `master`, by the server's `wsgi.early_hints`, if the request asks for it.

    Its sender may have gone: that is logged, and the work goes on.
    """
    if send is None or header(REQUEST) != "1":
        return
    try:
        send([(hint.value, master)])
    except OSError as error:
        log.warning("could not send %s: %s to whoever sent the PUT: %r", hint.value, master, error)
