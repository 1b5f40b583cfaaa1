"""Hosts as fleet's clusters have them: containers with systemd, Docker, etcd, the registrar, and a stand-in for SkyDNS.

They are on a network of their own that leads nowhere else, so that no image registry can be reached from them. Names of
units and states are systemd's. Needs a Docker engine, and the image of tests/units/host.
"""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from sandbox.process import ROOT, wait_until
from tests.units import fleet

IMAGE = "safe-redis/test-host"
# --privileged would ask for CAP_SYS_RESOURCE, which a machine may not have itself
OPTIONS = (
    "--cap-add=ALL",
    "--cap-drop=SYS_RESOURCE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=systempaths=unconfined",
    "--device-cgroup-rule=a *:* rwm",
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
    "--tmpfs=/tmp",
    "--volume=/var/lib/docker",
    f"--volume={ROOT}:/project:ro",
)


class HostError(Exception):
    """A command failed, here or on a host; the message shows it and what it said."""


def docker(*arguments: str, data: bytes | None = None, timeout: float = 60) -> str:
    """What the machine's own engine answers."""
    return _run(("docker", *arguments), data, timeout)


def _run(argv: Iterable[str], data: bytes | None, timeout: float) -> str:
    command = tuple(argv)
    done = subprocess.run(command, input=data, capture_output=True, timeout=timeout, check=False)
    if done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise HostError(f"{' '.join(command)}: status {done.returncode}: {said}")
    return done.stdout.decode()


class Host:
    """One host. `name` is its host name, in which capitals may be; `address` is known once it runs."""

    def __init__(self, name: str, network: str) -> None:
        self.name = name
        self._network = network
        self._id = ""
        self.address = ""

    def __repr__(self) -> str:
        return f"<Host {self.name}>"

    @property
    def shell(self) -> str:
        """The command that runs another one there, as ssh would on a real host."""
        return f"docker exec {self._id}"

    def boot(self) -> None:
        """Start it, and wait until its systemd and its Docker answer."""
        self._id = docker(
            "run", "--detach", "--hostname", self.name, "--network", self._network, *OPTIONS, IMAGE
        ).strip()
        form = f'{{{{(index .NetworkSettings.Networks "{self._network}").IPAddress}}}}'
        self.address = docker("inspect", "--format", form, self._id).strip()
        wait_until(lambda: self.succeeds("docker", "version"), f"docker on {self.name} answers", 60, 0.2)

    def join(self, cluster: str) -> None:
        """Start what every host of a cluster has: etcd, SkyDNS and a registrar. `cluster` is etcd's list of members."""
        own = f"http://{self.address}"
        etcd = {
            "ETCD_ENABLE_V2": "true",
            # in memory: etcd waits for the disk at every write, and a test machine's disk may be busy
            "ETCD_DATA_DIR": "/tmp/etcd",  # noqa: S108 - on a host of our own
            "ETCD_LISTEN_PEER_URLS": f"{own}:2380",
            "ETCD_INITIAL_ADVERTISE_PEER_URLS": f"{own}:2380",
            "ETCD_LISTEN_CLIENT_URLS": "http://0.0.0.0:4001",
            "ETCD_ADVERTISE_CLIENT_URLS": f"{own}:4001",
            "ETCD_INITIAL_CLUSTER": cluster,
        }
        self.write("/etc/default/etcd", "".join(f"{name}={value}\n" for name, value in etcd.items()))
        self.write("/etc/environment", f"COREOS_PRIVATE_IPV4={self.address}\n")
        self.run("systemctl", "start", "etcd", "skydns", "registrator")
        self.resolve_here()

    def reboot(self) -> None:
        """Shut it down in good order, and start it."""
        docker("stop", "--time", "60", self._id, timeout=120)
        self.power_on()

    def power_off(self) -> None:
        """End it at once."""
        docker("kill", self._id)

    def power_on(self) -> None:
        """Start it again, with its disk and address, and wait until its Docker answers."""
        docker("start", self._id)
        self.resolve_here()
        wait_until(lambda: self.succeeds("docker", "version"), f"docker on {self.name} answers", 60, 0.2)

    def resolve_here(self) -> None:
        """Ask this host alone for names: it refuses those of the outside at once; Docker would try for long."""
        self.run("sh", "-c", f"echo nameserver {self.address} >/etc/resolv.conf")

    def remove(self) -> None:
        """Take it away, with everything that was on it. Stopped first, or its cgroups would stay behind."""
        if self._id:
            docker("stop", "--time", "30", self._id)
            docker("rm", "--force", "--volumes", self._id)

    def run(self, *argv: str, data: bytes | None = None, timeout: float = 60) -> str:
        """What a command on the host prints; HostError if it fails."""
        return _run(("docker", "exec", "--interactive", self._id, *argv), data, timeout)

    def succeeds(self, *argv: str) -> bool:
        """Whether a command on the host ends with status 0."""
        try:
            self.run(*argv)
        except HostError:
            return False
        return True

    def write(self, path: str, text: str) -> None:
        """Make a file on the host, and the folders above it."""
        with io.BytesIO() as archive:
            with tarfile.open(fileobj=archive, mode="w") as tar:
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.size = len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
            self.run("tar", "-C", "/", "-x", "--no-same-owner", data=archive.getvalue())

    def load(self, unit: Path) -> None:
        """Do what fleet's agent does to load a unit."""
        path = f"/run/fleet/units/{unit.name}"
        self.write(path, fleet.written(fleet.parse(unit.read_text(encoding="utf-8"))))
        self.run("systemctl", "link", "--runtime", path)

    def start(self, unit: str) -> None:
        """Ask systemd for the start, as fleet's agent does, and don't wait."""
        self.run("systemctl", "start", "--no-block", unit)

    def state(self, unit: str) -> str:
        """As `active (running)`, the way fleetctl list-units and systemctl show it."""
        shown = self.run("systemctl", "show", "--property=ActiveState,SubState", unit)
        values = dict(line.split("=", 1) for line in shown.splitlines())
        return f"{values['ActiveState']} ({values['SubState']})"

    def journal(self, unit: str, lines: int = 1000) -> str:
        """What the unit's processes, and systemd about them, have said."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--lines={lines}", "--unit", unit)

    def reaches(self, unit: str, state: str, timeout: float = 60) -> None:
        """Wait for a state; the error shows the journal."""
        try:
            wait_until(lambda: self.state(unit) == state, f"{unit} on {self.name} is {state}", timeout, 0.1)
        except TimeoutError as error:
            raise HostError(f"{error}; it is {self.state(unit)}\n{self.journal(unit, 40)}") from None

    def container(self, name: str) -> dict[str, Any]:
        """A container as `docker inspect` shows it."""
        shown: list[dict[str, Any]] = json.loads(self.run("docker", "inspect", "--type", "container", name))
        return shown[0]

    def started(self, name: str) -> dict[str, Any]:
        """Wait until a container runs: its unit is "active" somewhat earlier; then as `docker inspect` shows it."""
        wait_until(lambda: self.running(name) != "", f"{name} on {self.name} runs", 60, 0.1)
        return self.container(name)

    def running(self, name: str) -> str:
        """The id of a container that runs; empty if there is none."""
        return self.run("docker", "ps", "--quiet", "--no-trunc", "--filter", f"name=^/{name}$").strip()

    def redis(self, *command: str, container: str = "redis-1-node") -> str:
        """What the node on this host answers."""
        return self.run("docker", "exec", container, "redis-cli", *command).strip()

    def serves(self, container: str = "redis-1-node") -> None:
        """Wait until the node on this host answers."""
        ping = ("docker", "exec", container, "redis-cli", "-e", "PING")
        wait_until(lambda: self.succeeds(*ping), f"{container} on {self.name} answers", 60, 0.1)

    def key(self, key: str) -> dict[str, Any]:
        """A node of etcd's v2 API, as this host's etcd has it."""
        node: dict[str, Any] = json.loads(self.run("curl", "-fsS", f"http://{self.address}:4001/v2/keys{key}"))["node"]
        return node

    def lookup(self, name: str) -> str:
        """The SRV record of a name, as `address:port`; empty if there is none, or no answer."""
        look_up = f"dig @{self.address} +short +time=2 +tries=1"
        script = f'set -- $({look_up} SRV "$1"); [ $# -ge 4 ] && echo "$({look_up} A "$4"):$3"'
        try:
            return self.run("sh", "-c", script, "sh", name).strip()
        except HostError:
            return ""


class Hosts:
    """Hosts on one network, with an etcd of as many members. A context manager: at its end nothing is left of them.

    With `join`, they have what every host of a fleet cluster has.
    """

    def __init__(self, names: Iterable[str], images: Iterable[str], *, join: bool = True) -> None:
        self._join = join
        self._network = f"safe-redis-units-{os.getpid()}"
        self._hosts = tuple(Host(name, self._network) for name in names)
        self._images = tuple(images)

    def __enter__(self) -> Self:
        docker("network", "create", "--internal", self._network)
        try:
            self._each(Host.boot)
            cluster = ",".join(f"{host.name}=http://{host.address}:2380" for host in self._hosts)
            images = subprocess.run(("docker", "save", *self._images), check=True, stdout=subprocess.PIPE).stdout
            if self._join:
                self._each(lambda host: host.join(cluster))
            self._each(lambda host: host.run("docker", "load", data=images, timeout=120))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._each(Host.remove)
        docker("network", "rm", self._network)

    def __iter__(self) -> Iterator[Host]:
        return iter(self._hosts)

    def __getitem__(self, index: int) -> Host:
        return self._hosts[index]

    def _each(self, do: Callable[[Host], object]) -> None:
        with ThreadPoolExecutor() as pool:
            for _ in pool.map(do, self._hosts):
                pass
