"""The topology document: the master and its slaves. Pure: no I/O, no clock.

A document is parsed once, where it enters a service, into frozen values. DocumentError names the field that is wrong.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Annotated

import msgspec

from safe_redis.errors import DocumentError

DEFAULT_PORT = 6379
MAX_BYTES = 1 << 20
EXAMPLE = '{"master": {"address": "core-01.redis-1.docker"}, "slaves": []}'
# registrator's labels contain colons and underscores, so this accepts more than host names may contain
LABEL = re.compile(r"[^\x00-\x20\x7f-\U0010ffff/\\\"'@?#\[\]%*.]{1,63}")


class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An instance as the document names it: an IP address or a DNS name, and possibly a port."""

    address: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None

    @property
    def is_ip(self) -> bool:
        """Whether `address` is an IPv4 or IPv6 address; anything else is a name to look up as SRV."""
        return is_ip(self.address)

    @property
    def key(self) -> tuple[str, int | None]:
        """The same for all spellings of one instance: case, trailing dot, IPv6 notation, default port."""
        ip = _ip(self.address)
        if ip is not None:
            return str(getattr(ip, "ipv4_mapped", None) or ip), self.port or DEFAULT_PORT
        return self.address.removesuffix(".").lower(), self.port

    @property
    def port_or_default(self) -> int:
        """The port of an IP address: 6379 unless given."""
        return self.port or DEFAULT_PORT

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address and self.is_ip else self.address
        return f"{host}:{self.port}" if self.port else self.address


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wanted master and slaves."""

    master: Address
    slaves: tuple[Address, ...]

    @property
    def instances(self) -> tuple[Address, ...]:
        """The master and the slaves, in this order."""
        return (self.master, *self.slaves)


def parse(body: bytes) -> Topology:
    """The document in `body` (JSON, UTF-8). DocumentError says which field is wrong and why."""
    try:
        topology = msgspec.json.decode(body, type=Topology)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DocumentError(f"{_reason(error)}; expected a document like {EXAMPLE}") from None
    fields = [
        ("master", topology.master),
        *((f"slaves[{index}]", slave) for index, slave in enumerate(topology.slaves)),
    ]
    seen: dict[tuple[str, int | None], str] = {}
    for field, instance in fields:
        _check(field, instance)
        if instance.key in seen:
            raise DocumentError(f"{field} is the same instance as {seen[instance.key]}: {instance}")
        seen[instance.key] = field
    return topology


def is_ip(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address."""
    return _ip(text) is not None


def names_one_host(ip: str) -> bool:
    """Whether an IP address can be one host's: not 0.0.0.0 or ::, which mean any, not multicast, not broadcast."""
    address = _ip(ip)
    address = getattr(address, "ipv4_mapped", None) or address
    if address is None:
        return False
    return not (address.is_unspecified or address.is_multicast or str(address) == "255.255.255.255")


def is_name(text: str) -> bool:
    """Whether `text` is a DNS name, or a name that registrator makes. The last label must not be a number."""
    labels = text.removesuffix(".").split(".")
    return all(LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()


@lru_cache(maxsize=1024)
def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _reason(error: Exception) -> str:
    # the name of an unknown field can be as long as the whole document
    text = str(error).replace("`$.", "`").replace(" - at `$`", "")[:300]
    return text if isinstance(error, msgspec.ValidationError) else f"not JSON: {text}"


def _check(field: str, instance: Address) -> None:
    """Raise DocumentError unless the address is a DNS name, or an IP address that is valid on every machine."""
    ip = _ip(instance.address)
    if ip is not None:
        if getattr(ip, "scope_id", None):
            raise DocumentError(f"{field}.address {ip}: a scope is valid on one machine only")
        if not names_one_host(instance.address):
            raise DocumentError(f"{field}.address {ip} is not the address of one host")
        return
    if not is_name(instance.address):
        raise DocumentError(f"{field}.address {instance.address!r} is neither an IP address nor a DNS name")
    if "." in instance.address and ":" in instance.address.rpartition(".")[2]:
        raise DocumentError(f"{field}.address {instance.address!r} contains a port; give it as `port`")
