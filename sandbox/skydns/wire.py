"""Encodes a response, and keeps the case of every name. Pure."""

from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.renderer

UDP_SIZE = 512


class _ExactNames(dict[dns.name.Name, int]):
    """The position of each name in the message, by its exact letters.

    dnspython treats names that differ in case as equal. With its own table, an answer would repeat
    the case of the question, while SkyDNS answers with the case of the key.
    """

    def __init__(self) -> None:
        super().__init__()
        self._exact: dict[tuple[bytes, ...], int] = {}

    def get(self, name: dns.name.Name, default: Any = None) -> Any:
        """The position of the name in exactly these letters."""
        return self._exact.get(name.labels, default)

    def __setitem__(self, name: dns.name.Name, position: int) -> None:
        self._exact[name.labels] = position


def encode(response: dns.message.Message, size: int = 65535) -> bytes:
    """The message in at most `size` bytes.

    As with SkyDNS, additional records that don't fit are left out silently. If the answer itself
    doesn't fit, the message is flagged as truncated.
    """
    renderer: Any = dns.renderer.Renderer(response.id, response.flags, size)  # type: ignore[no-untyped-call]
    renderer.compress = _ExactNames()
    try:
        for question in response.question:
            renderer.add_question(question.name, question.rdtype, question.rdclass)
        for number, section in enumerate(response.sections[1:], start=1):
            for rrset in section:
                renderer.add_rrset(number, rrset)
    except dns.exception.TooBig:
        if renderer.section < dns.renderer.ADDITIONAL:
            renderer.flags |= dns.flags.TC
    renderer.write_header()
    wire: bytes = renderer.get_wire()
    return wire
