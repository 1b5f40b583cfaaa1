"""What SkyDNS answers to a query, given etcd's contents. Pure: the reading and the time are arguments.

It follows SkyDNS 2.5.3 with etcd v2, for the query types SRV, A, AAAA, CNAME and SOA.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset

from sandbox.skydns.records import DEFAULT_TTL, Read, Record, UnreadableError, records_of

NEGATIVE_TTL = 60
MAX_CNAMES = 8
ADDRESSES = frozenset({dns.rdatatype.A, dns.rdatatype.AAAA})


@dataclass(frozen=True, slots=True)
class _Line:
    """One resource record of an answer."""

    owner: dns.name.Name
    ttl: int
    data: dns.rdata.Rdata


def answer(query: dns.message.Message, domain: str, read: Read, now: float) -> dns.message.Message:
    """The response to `query`. `now` (seconds since 1970) goes into the SOA, to the hour."""
    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.AA
    question = query.question[0]
    origin = dns.name.from_text(domain)
    soa = _soa(origin, now)
    if not question.name.is_subdomain(origin):
        # The real one would ask another server; there is none here.
        return _failed(response, dns.rcode.SERVFAIL)
    if question.name == origin and question.rdtype == dns.rdatatype.SOA:
        _add(response.answer, [_Line(origin, DEFAULT_TTL, soa)])
        return response
    try:
        records = records_of(question.name, read)
    except UnreadableError:
        # Only SRV queries get an error; for other types it answers that there is no such data.
        if question.rdtype == dns.rdatatype.SRV:
            return _failed(response, dns.rcode.SERVFAIL)
        records = ()
    if records is None:
        _failed(response, dns.rcode.NXDOMAIN)
    else:
        _fill(response, records, origin, read)
    if not response.answer:
        _add(response.authority, [_Line(origin, NEGATIVE_TTL, soa)])
    return response


def _fill(response: dns.message.Message, records: tuple[Record, ...], origin: dns.name.Name, read: Read) -> None:
    name, kind = response.question[0].name, response.question[0].rdtype
    if kind == dns.rdatatype.SRV:
        _add(response.answer, _services(name, records))
        _add(response.additional, _additional(records, origin, read))
    elif kind in ADDRESSES:
        _add(response.answer, _addresses(name, records, frozenset({kind}), read, ()))
    elif kind == dns.rdatatype.CNAME:
        exact = [r for r in records if r.name == name and not r.address]
        _add(response.answer, (_alias(name, record) for record in exact))


def _services(owner: dns.name.Name, records: tuple[Record, ...]) -> Iterable[_Line]:
    rivals: Counter[int] = Counter()
    for record in records:
        rivals[record.priority] += record.weight
    for record in records:
        weight = 100 * record.weight // rivals[record.priority]
        text = f"{record.priority} {weight} {record.port} {record.target}"
        yield _Line(owner, record.ttl, _data("SRV", text))


def _additional(records: tuple[Record, ...], origin: dns.name.Name, read: Read) -> Iterable[_Line]:
    for record in records:
        if record.address:
            yield _address(record.name, record)
        elif record.target.is_subdomain(origin):
            yield from _resolved(record.target, ADDRESSES, read, ())


def _addresses(
    owner: dns.name.Name,
    records: tuple[Record, ...],
    kinds: frozenset[dns.rdatatype.RdataType],
    read: Read,
    seen: tuple[dns.name.Name, ...],
) -> Iterable[_Line]:
    """Addresses of the given kinds. A host that is a name gives a CNAME and the addresses of that name."""
    for record in records:
        if record.address:
            line = _address(owner, record)
            if line.data.rdtype in kinds:
                yield line
        elif record.target not in (owner, *seen) and len(seen) < MAX_CNAMES:
            lines = list(_resolved(record.target, kinds, read, (*seen, record.target)))
            if lines:
                yield from (_alias(owner, record), *lines)


def _resolved(
    name: dns.name.Name,
    kinds: frozenset[dns.rdatatype.RdataType],
    read: Read,
    seen: tuple[dns.name.Name, ...],
) -> Iterable[_Line]:
    try:
        records = records_of(name, read)
    except UnreadableError:
        return ()
    return _addresses(name, records or (), kinds, read, seen)


def _alias(owner: dns.name.Name, record: Record) -> _Line:
    return _Line(owner, record.ttl, _data("CNAME", str(record.target)))


def _address(owner: dns.name.Name, record: Record) -> _Line:
    kind = "A" if isinstance(record.address, IPv4Address) else "AAAA"
    return _Line(owner, record.ttl, _data(kind, str(record.address)))


def _soa(origin: dns.name.Name, now: float) -> dns.rdata.Rdata:
    serial = int(now) // 3600 * 3600
    times = f"28800 7200 604800 {NEGATIVE_TTL}"
    return _data("SOA", f"ns.dns.{origin} hostmaster.skydns.local. {serial} {times}")


@lru_cache(maxsize=1024)  # most of an answer's time, and the same ones again and again
def _data(kind: str, text: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text("IN", kind, text)


def _failed(response: dns.message.Message, code: dns.rcode.Rcode) -> dns.message.Message:
    response.flags &= ~dns.flags.AA
    response.set_rcode(code)
    return response


def _add(section: list[dns.rrset.RRset], lines: Iterable[_Line]) -> None:
    """Add one RRset per owner and type, with the smallest TTL of its lines and no line twice."""
    rrsets: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], dns.rrset.RRset] = {}
    for line in lines:
        rrset = rrsets.get((line.owner, line.data.rdtype))
        if rrset is None:
            rrset = dns.rrset.from_rdata(line.owner, line.ttl, line.data)
            rrsets[line.owner, line.data.rdtype] = rrset
        else:
            rrset.add(line.data, line.ttl)
    section.extend(rrsets.values())
