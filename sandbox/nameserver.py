"""What the cluster's name servers have in common: queries, and a way to tell that one answers."""

import dns.exception
import dns.message
import dns.query

from sandbox.server import Server


class NameServer(Server):
    """A name server over etcd's records, for one domain; it restarts on the same port."""

    host: str
    port: int
    domain: str

    def query(self, name: str, kind: str = "SRV", *, tcp: bool = False) -> dns.message.Message:
        """Ask it once; raises what dnspython raises where no answer comes within two seconds."""
        ask = dns.query.tcp if tcp else dns.query.udp
        return ask(dns.message.make_query(name, kind), self.host, timeout=2, port=self.port)

    def answers(self) -> bool:
        """Whether it answers for its domain over both transports, whatever etcd does."""
        try:
            # TCP first: a closed port refuses at once there, a query by UDP would wait.
            return all(self.query(self.domain, "SOA", tcp=tcp).answer for tcp in (True, False))
        except (OSError, dns.exception.DNSException):
            return False
