"""Which records a topology needs in DNS, and what they say. Pure: no I/O, no clock.

SkyDNS reads a name from the etcd key that holds its labels reversed: core-01.redis-1.docker is
/skydns/docker/redis-1/core-01. One malformed value breaks SkyDNS's answers for everything above
it, so that values are made anew from what was understood, never copied as text.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from zlib import crc32

import msgspec

from safe_redis.errors import DocumentError, NoRecord
from safe_redis.topology import DEFAULT_PORT, Address, Topology, is_ip, is_name

ROOT = "/skydns"
CONFIG = "/config"
MASTER = "master"
SLAVES = "slaves"
TCP = "_tcp"
MASTER_SERVICE = "_redis-master"
SLAVES_SERVICE = "_redis-slaves"
ALL_SERVICE = "_redis"
"""The names that RFC 2782 asks for, such as `_redis-master._tcp`: HAProxy looks up no others."""


# a well-formed record by which SkyDNS answers that there is no such service (target ".")
NO_SERVICE = '{"host":"","port":0}'


class Service(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a record says, in SkyDNS's terms; what else registrator may have written is left out.

    `ttl` is how many seconds a resolver may cache the answer.
    """

    host: str = ""
    port: int = 0
    ttl: int = 0

    @property
    def usable(self) -> bool:
        """Whether SkyDNS makes an SRV record of it that leads somewhere."""
        return (is_ip(self.host) or is_name(self.host)) and 1 <= self.port <= 65535


@dataclass(frozen=True, slots=True)
class DesiredRecord:
    """A record to publish at `key`, for `instance`, made from the record at `source`.

    `source` is empty where the instance is an IP address, which needs no look-up.
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


def service_keys(domain: str) -> tuple[str, str, str]:
    """Under the names of RFC 2782: the master's key, the slaves' directory, and that of all instances."""
    parent = f"{key_of(domain)}/{TCP}"
    return f"{parent}/{MASTER_SERVICE}", f"{parent}/{SLAVES_SERVICE}", f"{parent}/{ALL_SERVICE}"


def slave_directories(domain: str) -> tuple[str, str, str]:
    """All directories whose records come and go with the instances."""
    return slaves_key(domain), *service_keys(domain)[1:]


def publication_key(domain: str) -> str:
    """The key of the publication, beside the cluster's other settings: SkyDNS must not read it."""
    return f"{CONFIG}/{domain.partition('.')[0]}/publication"


def desired(topology: Topology, domain: str) -> tuple[DesiredRecord, ...]:
    """The records of `topology`, the master's first; DocumentError for names that would clash.

    Each instance has three: under dnsd's own name, under that of RFC 2782, and among all instances, where nothing
    changes when the master does.
    """
    labels: dict[str, Address] = {}
    slaves = []
    services = []
    master_service, slaves_service, all_service = service_keys(domain)
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
        services.append(DesiredRecord(f"{slaves_service}/{name}", slave, source))
    services.append(DesiredRecord(master_service, master.instance, master.source))
    names = Counter(label(instance) for instance in topology.instances)
    services += [
        DesiredRecord(f"{all_service}/{_own_label(record.instance, names)}", record.instance, record.source)
        for record in (*slaves, master)
    ]
    return (master, *slaves, *services)


def label(instance: Address) -> str:
    """The name under `slaves`: a name's first label, or one made from an IP address and its port.

    IPv6 is spelled out, as a name must not start with a hyphen and `::1` would.
    """
    if not instance.is_ip:
        return instance.address.partition(".")[0].lower()
    digits = ipaddress.ip_address(instance.address).exploded
    return f"{digits}-{instance.port or DEFAULT_PORT}".replace(".", "-").replace(":", "-")


def _own_label(instance: Address, labels: Counter[str]) -> str:
    """A name that no other instance has: its label, or where another one's is the same, one that also tells the rest.

    `labels` counts those of all instances. The name doesn't depend on which of them is the master.
    """
    name = label(instance)
    if labels[name] == 1:
        return name
    return f"{name[:50]}-{crc32(str(instance.key).encode()):08x}"


def value(record: DesiredRecord, source: str | None, ttl: int) -> str:
    """The record's JSON, from the text at its source; NoRecord says what is missing or wrong."""
    instance = record.instance
    if not record.source:
        host = str(ipaddress.ip_address(instance.address))
        return _json(Service(host, instance.port or DEFAULT_PORT, ttl))
    if source is None:
        raise NoRecord(f"{instance} has no record at {record.source}")
    registered = _decode(source)
    if registered is None:
        raise NoRecord(f"{instance}: the record at {record.source} is malformed: {source[:200]}")
    if not registered.host.strip(". "):
        raise NoRecord(f"{instance}: the record at {record.source} has an empty host; start registrator with -ip")
    service = Service(registered.host, instance.port or registered.port, ttl)
    if not service.usable:
        raise NoRecord(f"{instance}: the record at {record.source} leads nowhere: {source[:200]}")
    return _json(service)


def well_formed(text: str) -> bool:
    """Whether a published value is one that `value` could have made."""
    service = _decode(text)
    return service is not None and service.usable


def publishable(values: Mapping[str, str], domain: str) -> bool:
    """Whether values by key are such as `desired` and `value` make for `domain`, and not none at all."""
    masters, directories = (master_key(domain), service_keys(domain)[0]), slave_directories(domain)
    ours = (key in masters or key.rpartition("/")[0] in directories for key in values)
    return bool(values) and all(ours) and all(map(well_formed, values.values()))


def parents(records: Iterable[DesiredRecord]) -> Iterator[str]:
    """The directories that hold the sources, each once."""
    yield from dict.fromkeys(record.source.rpartition("/")[0] for record in records if record.source)


def _source(field: str, instance: Address, domain: str) -> str:
    """Where the instance's own record is; DocumentError where it would be one of dnsd's own."""
    if instance.is_ip:
        return ""
    key = key_of(instance.address)
    if label(instance) in (MASTER, SLAVES, TCP) or key.startswith(f"{slaves_key(domain)}/"):
        raise DocumentError(f"{field}.address {instance.address!r} is a name that dnsd publishes")
    return key


def _decode(text: str) -> Service | None:
    try:
        return msgspec.json.decode(text, type=Service)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _json(service: Service) -> str:
    return msgspec.json.encode(service).decode()
