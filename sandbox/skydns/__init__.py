"""A stand-in for SkyDNS: answers from etcd's current contents as the real one does, without a cache.

`python -m sandbox.skydns` runs it; the class SkyDns starts that as a process.
"""

import sys
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from sandbox.process import Process, free_port
from sandbox.server import Server


class SkyDns(Server):
    """The stand-in as a process; restarts on the same port."""

    def __init__(self, etcd_url: str, directory: Path, *, host: str = "127.0.0.1", domain: str = "docker") -> None:
        self.host = host
        self.name = "skydns"
        self.port = free_port()
        self.domain = domain
        address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.process = Process(
            [sys.executable, "-m", "sandbox.skydns"],
            log=directory / "log",
            env={"ETCD_MACHINES": etcd_url, "SKYDNS_ADDR": address, "SKYDNS_DOMAIN": domain},
        )

    def query(self, name: str, kind: str = "SRV", *, tcp: bool = False) -> dns.message.Message:
        """Send one query. Raises dnspython's exceptions, or OSError, if no answer comes within two seconds."""
        ask = dns.query.tcp if tcp else dns.query.udp
        return ask(dns.message.make_query(name, kind), self.host, timeout=2, port=self.port)

    def answers(self) -> bool:
        """Whether it answers for its domain over UDP and TCP. Doesn't depend on etcd."""
        try:
            # TCP first: a closed port refuses at once, while a query by UDP would wait.
            return all(self.query(self.domain, "SOA", tcp=tcp).answer for tcp in (True, False))
        except (OSError, dns.exception.DNSException):
            return False
