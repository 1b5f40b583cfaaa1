"""A response as bytes, with the case of every name kept. Pure."""

from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.renderer

UDP_SIZE = 512


class _ExactNames(dict[dns.name.Name, int]):
    """Where each name stands in the message, by its exact letters.

    Names that differ in case are equal to dnspython, so its own table would let an answer repeat
    the case of the question where SkyDNS answers with the case of the key.
    """

    def __init__(self) -> None:
        super().__init__()
        self._exact: dict[tuple[bytes, ...], int] = {}

    def get(self, name: dns.name.Name, default: Any = None) -> Any:
        """Where it stands, in these letters."""
        return self._exact.get(name.labels, default)

    def __setitem__(self, name: dns.name.Name, position: int) -> None:
        self._exact[name.labels] = position


def encode(response: dns.message.Message, size: int = 65535) -> bytes:
    """The message in at most `size` bytes.

    As SkyDNS does, additional records that don't fit are left out without a word; where the
    answer itself doesn't fit, the message is flagged as truncated.
    """
    # Its constructor has no annotations.
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
