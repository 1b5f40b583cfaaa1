"""The real CoreDNS with its etcd plugin, which reads the same records through the v3 API."""

from pathlib import Path

from sandbox import binaries
from sandbox.nameserver import NameServer
from sandbox.process import Process, free_port

COREFILE = """\
.:{port} {{
    bind {host}
    etcd {domain} {{
        path /skydns
        endpoint {etcd}
    }}
    errors
}}
"""


class CoreDns(NameServer):
    """A process, as tests/servers builds it."""

    def __init__(self, etcd_url: str, directory: Path, *, host: str = "127.0.0.1", domain: str = "docker") -> None:
        self.host = host
        self.name = "coredns"
        self.port = free_port()
        self.domain = domain
        directory.mkdir(parents=True, exist_ok=True)
        corefile = directory / "Corefile"
        corefile.write_text(COREFILE.format(port=self.port, host=host, domain=domain, etcd=etcd_url))
        argv = [str(binaries.coredns()), "-conf", str(corefile.resolve())]
        self.process = Process(argv, log=directory / "log")
