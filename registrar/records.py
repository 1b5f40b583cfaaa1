"""Which records a running container is to have, by registrator's conventions. Pure: no I/O, no clock.

The container's environment and labels say how: SERVICE_NAME (else the image's name) and SERVICE_ID
(else host:container:port) for every published port, SERVICE_<port>_NAME and SERVICE_<port>_ID for
one; SERVICE_IGNORE or SERVICE_<port>_IGNORE leaves them out. Where a container publishes several
ports, a name that isn't given for the port gets -<port> at its end.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

ROOT = "/skydns"
# of a name or id: what makes just one level of etcd's keys; an id holds colons
PART = re.compile(r"[a-z0-9_:.-]+")
VARIABLE = re.compile(r"SERVICE_(?:(\d+)_)?(NAME|ID|IGNORE)")


@dataclass(frozen=True, slots=True)
class Port:
    """A port: the number inside, tcp or udp, and the number under which others reach it."""

    exposed: int
    protocol: str
    published: int


@dataclass(frozen=True, slots=True)
class Container:
    """A running container; `variables` are those of its environment and its labels.

    `address` is its own where others reach it by that; else they reach it by the host's.
    """

    name: str
    image: str
    variables: tuple[tuple[str, str], ...]
    ports: tuple[Port, ...]
    address: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """This host's name and address, the domain of its records, and their TTL in DNS answers."""

    name: str
    address: str
    domain: str
    ttl: int


@dataclass(frozen=True, slots=True)
class Record:
    """A value at a key, for the container of that name."""

    key: str
    value: str
    container: str


class BadName(Exception):
    """A container asks for a name or id that can't be a part of a key."""


def records(container: Container, host: Host) -> Iterator[Record]:
    """The records of the container's ports; BadName for one that can't be written."""
    for port in container.ports:
        common, own = _variables(container, None), _variables(container, port.exposed)
        given = common | own
        if given.get("IGNORE"):
            continue
        name = given.get("NAME") or image_name(container.image)
        if len(container.ports) > 1 and "NAME" not in own:
            name = f"{name}-{port.exposed}"
        udp = ":udp" if port.protocol == "udp" else ""
        instance = given.get("ID") or f"{host.name}:{container.name}:{port.exposed}{udp}"
        yield Record(_key(host.domain, name, instance), _value(container, host, port), container.name)


def image_name(image: str) -> str:
    """The last part of an image's name, without registry, tag or digest."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def _variables(container: Container, port: int | None) -> dict[str, str]:
    """What the variables say of one port, or (None) of all."""
    wanted = None if port is None else str(port)
    matches = ((VARIABLE.fullmatch(name), value) for name, value in container.variables)
    return {match[2]: value for match, value in matches if match and match[1] == wanted and value}


def _key(domain: str, name: str, instance: str) -> str:
    # name servers look names up in lower case
    parts = [name.lower(), instance.lower()]
    for part in parts:
        if not PART.fullmatch(part) or part in (".", ".."):
            raise BadName(f"{part!r} can't be a part of a key")
    return "/".join([ROOT, *reversed(domain.lower().split(".")), *parts])


def _value(container: Container, host: Host, port: Port) -> str:
    return json.dumps({"host": container.address or host.address, "port": port.published, "ttl": host.ttl})
