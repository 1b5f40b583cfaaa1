"""Finds where an instance listens: SRV look-ups by DNS.

The address is taken from the answer's own additional records where it carries them. Sources: RFC
2782 for SRV; SkyDNS puts the target's A or AAAA record into the additional section.
"""

import ipaddress
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdtypes.IN.SRV import SRV

from safe_redis.errors import SettingsError, Unresolved

if TYPE_CHECKING:  # the client is installed without msgspec, which the document needs
    from safe_redis.topology import Address

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where something listens: an IP address and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Resolver:
    """Looks names up at the given name servers (IP addresses), or at those of /etc/resolv.conf.

    `timeout` is in seconds, for one look-up with everything that it needs. Nothing is cached:
    addresses change. Any thread may use it. `variable` is what a SettingsError names.
    """

    def __init__(
        self,
        nameservers: Sequence[str] = (),
        port: int = 53,
        searchlist: Sequence[str] = (),
        timeout: float = 2.0,
        variable: str = "NAMESERVERS",
    ) -> None:
        try:
            self._dns = dns.resolver.Resolver(configure=not nameservers)
        except dns.resolver.NoResolverConfiguration as error:
            raise SettingsError(f"{variable} is not set, and there is no other: {error}") from None
        self._timeout = timeout
        if nameservers:
            self._dns.nameservers = [_ip(variable, server) for server in nameservers]
        self._dns.port = port
        if searchlist:
            self._dns.search = [_suffix(suffix) for suffix in searchlist]
        # a lost datagram is asked for again within the look-up's own time
        self._dns.timeout = timeout / 3

    def endpoint(self, address: "Address") -> Endpoint:
        """Where `address` listens; its own port wins. Unresolved says what was missing."""
        if address.is_ip:
            return Endpoint(address.address, address.port_or_default)
        place = self.srv(address.address)
        return Endpoint(place.host, address.port or place.port)

    def srv(self, name: str) -> Endpoint:
        """The SRV record of `name` with the lowest priority, with its target's IP address."""
        deadline = time.monotonic() + self._timeout
        records, response = self._records(name, deadline)
        first = records[0]
        if len(records) > 1:
            chosen = f"{first.target.to_text(omit_final_dot=True)}:{first.port}"
            log.warning("found %d SRV records for %s, taking %s", len(records), name, chosen)
        return self._endpoint(name, first, response, deadline)

    def endpoints(self, name: str) -> list[Endpoint]:
        """All SRV records of `name` that lead to an IP address, the lowest priority first; Unresolved if none does."""
        deadline = time.monotonic() + self._timeout
        records, response = self._records(name, deadline)
        endpoints, failures = [], []
        for record in records:
            try:
                endpoints.append(self._endpoint(name, record, response, deadline))
            except Unresolved as error:
                failures.append(str(error))
        if not endpoints:
            raise Unresolved("; ".join(failures))
        return endpoints

    def check(self) -> None:
        """Unresolved where no name server answers; that it knows no record is an answer."""
        try:
            self._dns.resolve("docker.", "SRV", lifetime=self._timeout, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return
        except (dns.exception.DNSException, OSError) as error:
            servers = ", ".join(f"{server} port {self._dns.port}" for server in self._dns.nameservers)
            raise Unresolved(f"no answer from {servers}: {type(error).__name__}") from None

    def _records(self, name: str, deadline: float) -> tuple[list[SRV], dns.message.Message]:
        answer = self._ask(name, "SRV", deadline)
        records = [record for record in answer if isinstance(record, SRV)]
        records.sort(key=lambda record: (record.priority, -record.weight, record.port))
        return records, answer.response

    def _endpoint(self, name: str, record: SRV, response: dns.message.Message, deadline: float) -> Endpoint:
        if record.target == dns.name.root:
            raise Unresolved(
                f"{name}: the SRV record has no target: registered with an empty host, start registrator with -ip"
            )
        if not record.port:
            raise Unresolved(f"{name}: the SRV record has port 0")
        return Endpoint(self._address(name, record.target, response, deadline), record.port)

    def _address(self, name: str, target: dns.name.Name, response: dns.message.Message, deadline: float) -> str:
        for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
            for rrset in response.additional:
                if rrset.name == target and rrset.rdtype == kind:
                    return str(rrset[0].to_text())
        missing = []
        for text in ("A", "AAAA"):
            try:
                return str(self._ask(target.to_text(), text, deadline)[0].to_text())
            except Unresolved as error:
                missing.append(str(error))
        raise Unresolved(f"{name}: its SRV record's target has no address: {', '.join(missing)}")

    def _ask(self, name: str, kind: str, deadline: float) -> dns.resolver.Answer:
        # the time may be used up by earlier questions: one more gets a moment, so that it can fail
        left = max(0.05, deadline - time.monotonic())
        try:
            return self._dns.resolve(name, kind, lifetime=left, search=bool(self._dns.search))
        except dns.resolver.NXDOMAIN:
            raise Unresolved(f"{name} has no {kind} record (NXDOMAIN)") from None
        except dns.resolver.NoAnswer:
            raise Unresolved(f"{name} has no {kind} record") from None
        except (dns.resolver.NoNameservers, dns.exception.Timeout, OSError) as error:
            asked = ", ".join(f"{server} port {self._dns.port}" for server in self._dns.nameservers)
            why = type(error).__name__
            raise Unresolved(f"{name}: no answer from {asked} within {self._timeout:g} s ({why})") from None
        except dns.exception.DNSException as error:
            raise Unresolved(f"{name} can't be looked up: {error}") from None


def _ip(variable: str, server: str) -> str:
    try:
        return str(ipaddress.ip_address(server))
    except ValueError:
        raise SettingsError(f"{variable}={server!r}: not an IP address") from None


def _suffix(suffix: str) -> dns.name.Name:
    try:
        return dns.name.from_text(suffix)
    except dns.exception.DNSException as error:
        raise SettingsError(f"SEARCHLIST={suffix!r}: not a domain: {error}") from None
