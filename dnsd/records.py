"""Which records a topology wants in DNS, and what they say. Pure: no I/O, no clock.

SkyDNS reads a name from the etcd key that holds its labels reversed: core-01.redis-1.docker is
/skydns/docker/redis-1/core-01. One malformed value breaks SkyDNS's answers for everything above
it, so that values are made anew from what was understood, never copied as text.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from safe_redis.errors import DocumentError, NoRecord
from safe_redis.topology import DEFAULT_PORT, Address, Topology, is_ip, is_name

ROOT = "/skydns"
MASTER = "master"
SLAVES = "slaves"


class Service(msgspec.Struct, frozen=True):
    """What a record says, in SkyDNS's terms; what else registrator may have written is left out."""

    host: str = ""
    port: int = 0

    @property
    def usable(self) -> bool:
        """Whether SkyDNS makes an SRV record of it that leads somewhere."""
        return (is_ip(self.host) or is_name(self.host)) and 1 <= self.port <= 65535


@dataclass(frozen=True, slots=True)
class DesiredRecord:
    """A record to publish at `key`, for `instance`, made from the record at `source`.

    `source` is empty where the instance is an IP address: it says all by itself.
    """

    key: str
    instance: Address
    source: str


def key_of(name: str) -> str:
    """The key at which SkyDNS finds `name`; SkyDNS asks in lower case."""
    return "/".join([ROOT, *reversed(name.lower().removesuffix(".").split("."))])


def master_key(domain: str) -> str:
    """Where the master of the topology that is published under `domain` is."""
    return f"{key_of(domain)}/{MASTER}"


def slaves_key(domain: str) -> str:
    """The directory of the slaves of the topology that is published under `domain`."""
    return f"{key_of(domain)}/{SLAVES}"


def wanted(topology: Topology, domain: str) -> tuple[DesiredRecord, ...]:
    """The records of `topology`, the master's first; DocumentError for names that would clash."""
    labels: dict[str, Address] = {}
    slaves = []
    master = DesiredRecord(master_key(domain), topology.master, _source("master", topology.master, domain))
    for at, slave in enumerate(topology.slaves):
        source = _source(f"slaves[{at}]", slave, domain)
        name = label(slave)
        if name in labels:
            raise DocumentError(
                f"slaves[{at}] {slave} would be published as {name}.{SLAVES}.{domain}, and so would {labels[name]}"
            )
        labels[name] = slave
        slaves.append(DesiredRecord(f"{slaves_key(domain)}/{name}", slave, source))
    return (master, *slaves)


def label(instance: Address) -> str:
    """The name under `slaves`: a name's first label, or one made from an IP address and its port.

    IPv6 is spelled out, as a name must not start with a hyphen and `::1` would.
    """
    if not instance.is_ip:
        return instance.address.partition(".")[0].lower()
    digits = ipaddress.ip_address(instance.address).exploded
    return f"{digits}-{instance.port or DEFAULT_PORT}".replace(".", "-").replace(":", "-")


def value(want: DesiredRecord, found: str | None) -> str:
    """The record's JSON, from `found` at the source; NoRecord says what is missing or wrong."""
    instance = want.instance
    if not want.source:
        host = str(ipaddress.ip_address(instance.address))
        return _json(Service(host, instance.port or DEFAULT_PORT))
    if found is None:
        raise NoRecord(f"{instance} has no record at {want.source}")
    record = _decode(found)
    if record is None:
        raise NoRecord(f"{instance}: the record at {want.source} is malformed: {found[:200]}")
    if not record.host.strip(". "):
        raise NoRecord(f"{instance}: the record at {want.source} has an empty host; start registrator with -ip")
    service = Service(record.host, instance.port or record.port)
    if not service.usable:
        raise NoRecord(f"{instance}: the record at {want.source} leads nowhere: {found[:200]}")
    return _json(service)


def well_formed(found: str) -> bool:
    """Whether a published value is one that `value` could have made."""
    record = _decode(found)
    return record is not None and record.usable


def parents(records: Iterable[DesiredRecord]) -> Iterator[str]:
    """The directories that hold the sources, each once."""
    yield from dict.fromkeys(each.source.rpartition("/")[0] for each in records if each.source)


def _source(field: str, instance: Address, domain: str) -> str:
    """Where the instance's own record is; DocumentError where it would be one of dnsd's own."""
    if instance.is_ip:
        return ""
    key = key_of(instance.address)
    if label(instance) in (MASTER, SLAVES) or key.startswith(f"{slaves_key(domain)}/"):
        raise DocumentError(f"{field}.address {instance.address!r} is a name that dnsd publishes")
    return key


def _decode(found: str) -> Service | None:
    try:
        return msgspec.json.decode(found, type=Service)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _json(service: Service) -> str:
    return msgspec.json.encode(service).decode()
