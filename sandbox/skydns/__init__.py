"""A stand-in for SkyDNS: answers from etcd's current contents as the real one does, without a cache.

`python -m sandbox.skydns` runs it; the class SkyDns starts that as a process.
"""

import sys
from pathlib import Path

from sandbox.nameserver import NameServer
from sandbox.process import Process, free_port


class SkyDns(NameServer):
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
