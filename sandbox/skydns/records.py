"""SkyDNS's records, from etcd's leaves. Pure: no I/O, no clock; the function that reads is an argument.

A name is its key reversed: core-01.redis-1.docker is /skydns/docker/redis-1/core-01. A key that
has keys below it stands for all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated

import dns.exception
import dns.name
import msgspec

ROOT = "/skydns"
DEFAULT_TTL = 3600
DEFAULT_PRIORITY = 10


@dataclass(frozen=True, slots=True)
class Leaf:
    """A key with a value; `ttl` is in seconds, 0 if it doesn't expire."""

    key: str
    value: str
    ttl: int


class UnreadableError(Exception):
    """etcd can't be reached, or a value is malformed."""


Read = Callable[[str], tuple[Leaf, ...] | None]
"""Returns all leaves at or below a key, None if there is no such key. Raises UnreadableError."""


class Service(msgspec.Struct, frozen=True):
    """A leaf's value. Missing fields are empty, unknown ones are ignored."""

    host: str = ""
    port: int = 0
    priority: int = 0
    weight: Annotated[int, msgspec.Meta(ge=0)] = 0
    text: str = ""
    ttl: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0


@dataclass(frozen=True, slots=True)
class Record:
    """A service under its key's name; `address` is set if its host is an IP address.

    `target` is what an SRV record points to: the name itself for an address, else the host.
    """

    name: dns.name.Name
    target: dns.name.Name
    address: IPv4Address | IPv6Address | None
    port: int
    priority: int
    weight: int
    ttl: int


def key_of(name: dns.name.Name) -> str:
    """The key of a name; SkyDNS looks keys up in lower case."""
    labels = [label.decode(errors="replace").lower() for label in name.labels if label]
    return "/".join((ROOT, *reversed(labels)))


def records_of(name: dns.name.Name, read: Read) -> tuple[Record, ...] | None:
    """The records that `name` stands for, None if there is no such key.

    One malformed value makes all of them unreadable. Equal services become one record.
    """
    leaves = read(key_of(name))
    if leaves is None:
        return None
    records: dict[Service, Record] = {}
    # Which of several equal services SkyDNS keeps depends on the order in which etcd lists them;
    # the recorded answers show the last name first.
    for leaf in sorted(leaves, key=lambda leaf: leaf.key, reverse=True):
        try:
            service = msgspec.json.decode(leaf.value, type=Service)
            record = _record(leaf, service)
        except (msgspec.MsgspecError, dns.exception.DNSException) as error:
            raise UnreadableError(f"{leaf.key}: {error!r}") from error
        records.setdefault(msgspec.structs.replace(service, ttl=0), record)
    return tuple(records.values())


def _record(leaf: Leaf, service: Service) -> Record:
    labels = [label.encode() for label in leaf.key.removeprefix(ROOT).split("/") if label]
    name = dns.name.Name([*reversed(labels), b""])
    address = _address(service.host)
    return Record(
        name=name,
        target=name if address else dns.name.from_text(service.host or "."),
        address=address,
        port=service.port & 0xFFFF,
        priority=(service.priority or DEFAULT_PRIORITY) & 0xFFFF,
        weight=service.weight or 100,
        ttl=min((ttl for ttl in (leaf.ttl, service.ttl) if ttl), default=DEFAULT_TTL),
    )


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
