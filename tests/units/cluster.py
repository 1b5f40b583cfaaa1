"""The units on two hosts, as fleet would put them there, and what an operator does with them."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sandbox.process import ROOT, wait_until
from tests.units.hosts import Host, HostError

STATES = {
    "node": "active (running)",
    "node-config": "active (exited)",
    "node-data": "active (exited)",
    "dictator": "active (running)",
    "dnsd": "active (running)",
    "topology-observer": "active (running)",
}
GLOBAL = ("node", "node-config", "node-data")
# Of the units that fleet puts on one host only, where that is at first; by the host's index
ALONE = {"dictator": 0, "dnsd": 1, "topology-observer": 1}


@dataclass(frozen=True, slots=True)
class ClusterState:
    """A host: where its node is published, that node's answer to ROLE, and where DNS says that the master is."""

    endpoint: str
    role: tuple[str, ...]
    master: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """The hosts; a unit is named without its `redis-1-` and `.service`."""

    hosts: tuple[Host, ...]

    def placed(self) -> tuple[tuple[Host, str], ...]:
        """Every unit with its host. The node comes first: fleet promises no order, and this is the worst one."""
        everywhere = tuple((host, unit) for unit in GLOBAL for host in self.hosts)
        return everywhere + tuple((self.hosts[index], unit) for unit, index in ALONE.items())

    def start(self) -> None:
        """Load and start what isn't there yet, wait for nothing until all are under way, then for each one's state."""
        for host, unit in self.placed():
            if not host.succeeds("systemctl", "is-active", "--quiet", name(unit)):
                host.load(ROOT / "units" / name(unit))
                host.start(name(unit))
        for host, unit in self.placed():
            host.reaches(name(unit), STATES[unit])

    def define(self, *, master: str) -> None:
        """Have that host's node made master of the others."""
        slaves = (host.name.lower() for host in self.hosts if host.name.lower() != master)
        self.apply(master, *slaves)

    def apply(self, master: str, *slaves: str, cluster: str = "redis-1") -> None:
        """Define the topology and have it applied, by the operator's scripts. Nodes are named by their hosts."""
        nodes = [{"address": f"{host}.{cluster}.docker"} for host in (master, *slaves)]
        topology = json.dumps({"master": nodes[0], "slaves": nodes[1:]})
        self.script("define-topology.sh", "-", data=topology, cluster=cluster)
        self.script("apply-topology.sh", "--no-wait", cluster=cluster)

    def script(self, script: str, *arguments: str, data: str = "", cluster: str = "redis-1") -> str:
        """What one of the operator's scripts prints, run on the first host."""
        host = self.hosts[0]
        environ = (f"ETCD_URL=http://{host.address}:4001", f"DNS_SERVER={host.address}", f"CLUSTER={cluster}")
        return host.run("env", *environ, "sh", f"/project/scripts/{script}", *arguments, data=data.encode())

    def restart_all(self, timeout: float = 200) -> str:
        """What rolling-restart.sh prints, run beside the hosts by its example for systemd, but without ssh."""
        shells = [f"{host.name.lower()}) {host.shell} systemctl restart redis-1-node;;" for host in self.hosts]
        places = {"ETCD_URL": f"http://{self.hosts[0].address}:4001", "DNS_SERVER": self.hosts[0].address}
        environ = {**os.environ, **places, "RESTART": f"case {{host}} in {' '.join(shells)} esac"}
        argv = ("sh", "scripts/rolling-restart.sh", "--back")
        done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=timeout)
        if done.returncode:
            raise HostError(f"{argv}: status {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def settle(self, timeout: float = 60) -> None:
        """Wait until the nodes follow the defined topology, and every host's DNS says where the master is."""
        defined = json.loads(self.hosts[0].key("/config/redis-1/topology")["value"])
        wanted = defined["master"]["address"].partition(".")[0]
        try:
            wait_until(lambda: _settled(self.seen(), wanted), f"{wanted} is master", timeout, 0.2)
        except TimeoutError as error:
            journals = [host.journal(name(unit), 20) for host, unit in self.placed() if unit in ALONE]
            raise HostError("\n".join([str(error), str(self.seen()), *journals])) from None

    def is_settled(self, master: str) -> bool:
        """Whether that host's node is the master now, as defined, and DNS says so."""
        return _settled(self.seen(), master)

    def seen(self) -> dict[str, ClusterState]:
        """What there is to be seen on each host, by the name of its node."""
        with ThreadPoolExecutor() as pool:
            return dict(zip((host.name.lower() for host in self.hosts), pool.map(_look, self.hosts), strict=True))


def _look(host: Host) -> ClusterState:
    script = "docker port redis-1-node 6379; echo; docker exec redis-1-node redis-cli ROLE"
    port, _, role = host.run("sh", "-c", f"{{ {script}; }} 2>&1 || true").partition("\n\n")
    return ClusterState(port.strip(), tuple(role.split()), host.lookup("master.redis-1.docker"))


def _settled(seen: dict[str, ClusterState], wanted: str) -> bool:
    master = seen[wanted]
    host, _, port = master.endpoint.partition(":")
    return (
        master.role[:1] == ("master",)
        and all(node.role[:4] == ("slave", host, port, "connected") for node in seen.values() if node is not master)
        and all(node.master == master.endpoint for node in seen.values())
    )


def name(unit: str, cluster: str = "redis-1") -> str:
    """As systemd has it."""
    return f"{cluster}-{unit}.service"


def endpoint(host: Host, container: str = "redis-1-node") -> str:
    """Where the node on the host is published, as docker says; empty while it isn't."""
    try:
        ports = host.container(container)["NetworkSettings"]["Ports"]
    except HostError:
        return ""
    bindings = ports.get("6379/tcp")
    return f"{bindings[0]['HostIp']}:{bindings[0]['HostPort']}" if bindings else ""
