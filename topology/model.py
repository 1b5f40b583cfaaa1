"""The topology document: which instance is the master, and which are its slaves. Pure: no I/O, no clock.

Parsed once, at the edge, into frozen values; DocumentError names the field that is wrong.
"""

import ipaddress
from typing import Annotated

import msgspec

from topology.errors import DocumentError

DEFAULT_PORT = 6379
MAX_BYTES = 1 << 20
EXAMPLE = '{"master": {"address": "core-01.redis-1.docker"}, "slaves": []}'


class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An instance as the document gives it: an IP address or a name, and a port where one is given."""

    address: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None

    @property
    def is_ip(self) -> bool:
        """Whether `address` is an IPv4 or IPv6 address; anything else is a name for an SRV look-up."""
        try:
            ipaddress.ip_address(self.address)
        except ValueError:
            return False
        return True

    @property
    def key(self) -> tuple[str, int | None]:
        """Equal for two spellings of one instance: letter case, a trailing dot, zeros in IPv6, the default port."""
        if self.is_ip:
            return str(ipaddress.ip_address(self.address)), self.port or DEFAULT_PORT
        return self.address.rstrip(".").lower(), self.port

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address and self.is_ip else self.address
        return f"{host}:{self.port}" if self.port else self.address


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wanted master and slaves."""

    master: Address
    slaves: tuple[Address, ...]

    @property
    def instances(self) -> tuple[Address, ...]:
        """All of them, the master first."""
        return (self.master, *self.slaves)


def parse(body: bytes) -> Topology:
    """The document in `body` (JSON, UTF-8). DocumentError says which field is wrong and why."""
    try:
        topology = msgspec.json.decode(body, type=Topology)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DocumentError(f"{_told(error)}; expected a document like {EXAMPLE}") from None
    _check_names(topology)
    _check_twice(topology)
    return topology


def _told(error: Exception) -> str:
    text = str(error).replace("`$.", "`").replace(" - at `$`", "")
    return text if isinstance(error, msgspec.ValidationError) else f"not JSON: {text}"


def _fields(topology: Topology) -> list[tuple[str, Address]]:
    return [("master", topology.master), *((f"slaves[{i}]", each) for i, each in enumerate(topology.slaves))]


def _check_names(topology: Topology) -> None:
    for field, each in _fields(topology):
        if each.is_ip:
            continue
        labels = each.address.removesuffix(".").split(".")
        if any(not label or len(label.encode()) > 63 for label in labels) or not _printable(each.address):
            raise DocumentError(f"{field}.address {each.address!r} is neither an IP address nor a DNS name")


def _printable(name: str) -> bool:
    # registrator's labels hold colons, so more than letters, digits and hyphens must be let through
    return name.isascii() and name.isprintable() and not set(name) & set(" /\\\"'@?#[]")


def _check_twice(topology: Topology) -> None:
    seen: dict[tuple[str, int | None], str] = {}
    for field, each in _fields(topology):
        if each.key in seen:
            raise DocumentError(f"{field} is the same instance as {seen[each.key]}: {each}")
        seen[each.key] = field
