"""Finds where an instance listens: SRV look-ups by DNS, with the answer's own address records where it carries them.

Source: RFC 2782 for SRV; SkyDNS puts the target's A or AAAA record into the additional section.
"""

import ipaddress
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdtypes.IN.SRV import SRV

from topology.errors import SettingsError, Unresolved
from topology.model import DEFAULT_PORT, Address

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

    `timeout` is in seconds, for one look-up with everything that it needs. Nothing is cached: addresses change.
    """

    def __init__(
        self,
        nameservers: Sequence[str] = (),
        port: int = 53,
        searchlist: Sequence[str] = (),
        timeout: float = 2.0,
    ) -> None:
        self._dns = dns.resolver.Resolver(configure=not nameservers)
        self._timeout = timeout
        if nameservers:
            self._dns.nameservers = [_ip(server) for server in nameservers]
        self._dns.port = port
        if searchlist:
            self._dns.search = [dns.name.from_text(suffix) for suffix in searchlist]
        # a lost datagram is asked for again within the look-up's own time
        self._dns.timeout = timeout / 3

    def endpoint(self, address: Address) -> Endpoint:
        """Where `address` listens. A port in `address` wins over the record's. Unresolved says what was missing."""
        if address.is_ip:
            return Endpoint(address.address, address.port or DEFAULT_PORT)
        found = self.srv(address.address)
        return Endpoint(found.host, address.port or found.port)

    def srv(self, name: str) -> Endpoint:
        """The SRV record of `name` with the lowest priority, with its target's IP address."""
        deadline = time.monotonic() + self._timeout
        answer = self._ask(name, "SRV", deadline)
        records = sorted((r for r in answer if isinstance(r, SRV)), key=lambda r: (r.priority, -r.weight, r.port))
        first = records[0]
        if len(records) > 1:
            log.warning("found %d SRV records for %s, taking %s:%d", len(records), name, first.target, first.port)
        if first.target == dns.name.root:
            raise Unresolved(f"{name}: the SRV record has no target (registered with an empty host: start registrator with -ip)")
        return Endpoint(self._address(name, first.target, answer.response, deadline), first.port)

    def _address(self, name: str, target: dns.name.Name, response: dns.message.Message, deadline: float) -> str:
        for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
            for rrset in response.additional:
                if rrset.name == target and rrset.rdtype == kind:
                    return str(rrset[0].to_text())
        host = target.to_text(omit_final_dot=True)
        for text in ("A", "AAAA"):
            try:
                return str(self._ask(host, text, deadline, absolute=True)[0].to_text())
            except Unresolved:
                if text == "AAAA":
                    raise Unresolved(f"{name}: the SRV record's target {host} has no address") from None
        raise AssertionError("unreachable")

    def _ask(self, name: str, kind: str, deadline: float, *, absolute: bool = False) -> dns.resolver.Answer:
        left = max(0.05, deadline - time.monotonic())
        asked = name.rstrip(".") + "." if absolute else name
        try:
            return self._dns.resolve(asked, kind, lifetime=left, search=bool(self._dns.search) and not absolute)
        except dns.resolver.NXDOMAIN:
            raise Unresolved(f"{name} has no {kind} record (NXDOMAIN)") from None
        except dns.resolver.NoAnswer:
            raise Unresolved(f"{name} has no {kind} record") from None
        except (dns.resolver.NoNameservers, dns.exception.Timeout, OSError) as error:
            servers = ", ".join(f"{server} port {self._dns.port}" for server in self._dns.nameservers)
            raise Unresolved(f"{name}: no answer from {servers} within {self._timeout:g} s ({_why(error)})") from None
        except dns.exception.DNSException as error:
            raise Unresolved(f"{name} can't be looked up: {error}") from None


def _why(error: Exception) -> str:
    return type(error).__name__


def _ip(server: str) -> str:
    try:
        return str(ipaddress.ip_address(server))
    except ValueError:
        raise SettingsError(f"NAMESERVERS: {server!r} is not an IP address") from None
