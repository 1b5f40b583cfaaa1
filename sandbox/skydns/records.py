"""etcd's leaves read as SkyDNS reads them. Pure: no I/O, no clock; the reading is handed in.

A name is its key reversed: core-01.redis-1.docker is /skydns/docker/redis-1/core-01, and a key
with others below it stands for all of them.
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
    """A key that holds a value; `ttl` in seconds, 0 where it stays for ever."""

    key: str
    value: str
    ttl: int


class UnreadableError(Exception):
    """etcd could not be asked, or a value is malformed: there is nothing to answer from."""


Read = Callable[[str], tuple[Leaf, ...] | None]
"""Every leaf at or below a key; None where there is no such key; raises UnreadableError."""


class Service(msgspec.Struct, frozen=True):
    """A leaf's value. What a value doesn't name is empty, unknown names are passed over."""

    host: str = ""
    port: int = 0
    priority: int = 0
    weight: Annotated[int, msgspec.Meta(ge=0)] = 0
    text: str = ""
    ttl: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0


@dataclass(frozen=True, slots=True)
class Record:
    """A service under its key's name; `address` where its host is an IP address.

    `target` is what an SRV record points at: the name itself for an address, else the host.
    """

    name: dns.name.Name
    target: dns.name.Name
    address: IPv4Address | IPv6Address | None
    port: int
    priority: int
    weight: int
    ttl: int


def key_of(name: dns.name.Name) -> str:
    """Where etcd holds what `name` stands for: SkyDNS looks keys up in lower case."""
    labels = [label.decode(errors="replace").lower() for label in name.labels if label]
    return "/".join((ROOT, *reversed(labels)))


def records_of(name: dns.name.Name, read: Read) -> tuple[Record, ...] | None:
    """What `name` stands for, None where nothing does.

    One malformed value makes all of them unreadable; equal services collapse into one.
    """
    leaves = read(key_of(name))
    if leaves is None:
        return None
    found: dict[Service, Record] = {}
    # Which of several equal ones SkyDNS keeps is up to the order in which etcd lists them; the
    # last name first is the order that the recorded answers show.
    for leaf in sorted(leaves, key=lambda leaf: leaf.key, reverse=True):
        try:
            service = msgspec.json.decode(leaf.value, type=Service)
            record = _record(leaf, service)
        except (msgspec.MsgspecError, dns.exception.DNSException) as error:
            raise UnreadableError(f"{leaf.key}: {error!r}") from error
        found.setdefault(msgspec.structs.replace(service, ttl=0), record)
    return tuple(found.values())


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
