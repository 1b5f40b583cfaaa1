"""The cluster of docker-compose.test.yml as the tests handle it: faults, counters, and what everybody says now."""

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Self

from sandbox.process import ROOT, wait_until
from tests.containers.engine import DockerError, command, docker, environment, inspect

NODES = ("core-01", "core-02", "core-03")
SERVICES = ("dictator", "dnsd", "topology-observer")
GIVEN = ("etcd", "skydns", "registrar", "operator")
LOOK_UP = """
import dns.resolver, os
resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers = [os.environ["DNS_SERVER"]]
answer = resolver.resolve("master.redis-1.docker", "SRV")
print(answer.response.additional[0][0].address, answer[0].port)
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a counter ended with."""

    status: int
    output: str

    @property
    def line(self) -> str:
        """Its last line."""
        return self.output.splitlines()[-1]

    @property
    def lossless(self) -> bool:
        """Whether it says so."""
        return bool(re.search(r"ack'd: \d+ \(0 missing\) err'd: \d+ \(0 phantom\)$", self.line))


class Counter:
    """A redis-counter that runs in the cluster."""

    def __init__(self, process: "subprocess.Popen[str]", output: IO[str]) -> None:
        self._process = process
        self._output = output

    @property
    def running(self) -> bool:
        """Whether it still writes, or compares."""
        return self._process.poll() is None

    def wait(self, timeout: float = 180) -> Counted:
        """Its end."""
        status = self._process.wait(timeout)
        self._output.seek(0)
        return Counted(status, self._output.read().strip())


class Cluster:
    """One project of Compose in a network of its own. Times are in seconds."""

    def __init__(self, project: str, network: str, **settings: str) -> None:
        self.project = project
        self._env = environment(TEST_NETWORK=network, **settings)
        self._prefix = network

    @property
    def command(self) -> str:
        """How every docker compose command of this project begins."""
        return f"docker compose -f docker-compose.test.yml -p {self.project}"

    def compose(self, *arguments: str, timeout: float = 120, text: str = "") -> str:
        """What a docker compose command prints."""
        return command([*self.command.split(), *arguments], timeout=timeout, env=self._env, text=text)

    def script(self, script: str, *arguments: str, timeout: float = 300, **env: str) -> str:
        """What an operator's script prints, run beside the containers."""
        places = {"ETCD_URL": f"http://{self.address('etcd')}:4001", "DNS_SERVER": self.address("skydns")}
        return command(["sh", f"scripts/{script}", *arguments], timeout=timeout, env=self._env | places | env)

    def __enter__(self) -> Self:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """All but the counter and the one that messes; core-01 is the master at the end."""
        self.compose("up", "--detach", "--no-build", *GIVEN, *NODES, *SERVICES)
        self.wait_converged("core-01", timeout=120)

    def down(self) -> None:
        """Take everything of it away."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "3")

    def container(self, service: str) -> str:
        """The service's container, by its name."""
        return f"{self.project}-{service}-1"

    def run_in(self, service: str, *argv: str, text: str = "") -> str:
        """What a command prints in a service's container."""
        return docker("exec", "-i", self.container(service), *argv, text=text)

    def kill(self, service: str) -> None:
        """SIGKILL."""
        docker("kill", self.container(service))

    def start(self, service: str) -> None:
        """A container that has ended, as it was."""
        docker("start", self.container(service))

    def identity(self, service: str) -> str:
        """The id of its container, which is another one when the container was made anew."""
        return str(inspect(self.container(service))["Id"])

    def address(self, service: str) -> str:
        """Its IP address in the network; nothing while it has none."""
        networks = inspect(self.container(service))["NetworkSettings"]["Networks"]
        return str(networks.get(f"{self.project}_default", {}).get("IPAddress", ""))

    def disconnect(self, service: str) -> None:
        """Take it off the network, running or not."""
        docker("network", "disconnect", f"{self.project}_default", self.container(service))

    def connect(self, service: str, last: int | None = None) -> None:
        """Put it on the network again, under an address that ends in `last` if given."""
        fixed = ["--ip", f"{self._prefix}.{last}"] if last else []
        name = self.container(service)
        docker("network", "connect", "--alias", service, *fixed, f"{self.project}_default", name)

    def logs(self, service: str) -> str:
        """What it has said since its container was made."""
        done = subprocess.run(
            ["docker", "logs", self.container(service)], capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout + done.stderr

    def redis(self, node: str, *words: str) -> str:
        """A node's answer to a redis command, asked in its container, so also while it has no network."""
        return self.run_in(node, "redis-cli", *words)

    def info(self, node: str) -> dict[str, str]:
        """The section replication of a node."""
        lines = self.redis(node, "info", "replication").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def topology(self, master: str) -> str:
        """The document in which that node is the master, and the others are slaves."""
        slaves = [{"address": f"{node}.redis-1.docker"} for node in NODES if node != master]
        return json.dumps({"master": {"address": f"{master}.redis-1.docker"}, "slaves": slaves})

    def declare(self, master: str, *, force: bool = False) -> None:
        """As an operator does: define, apply."""
        self.run_in("operator", "scripts/define-topology.sh", "-", text=self.topology(master))
        self.run_in("operator", "scripts/apply-topology.sh", "--no-wait", *(["--force"] if force else []))

    def put(self, url: str, master: str) -> tuple[int, str]:
        """What a service answers when it is asked directly: status and line."""
        token = self.run_in("operator", "printenv", "TOKEN").strip()
        argv = ["curl", "-sS", "-m", "40", "-w", "\n%{http_code}", "-X", "PUT", "-d", self.topology(master)]
        argv += ["-H", f"Authorization: Bearer {token}", url]
        line, _, status = self.run_in("operator", *argv).rpartition("\n")
        return int(status), line.strip()

    def master_in_dns(self) -> str:
        """Address and port that SkyDNS gives for the master; nothing where it gives none."""
        try:
            return self.run_in("operator", "python3", "-c", LOOK_UP)
        except DockerError:
            return ""

    def problem(self, master: str) -> str:
        """What is not as it should be with that master declared; nothing where all is."""
        where = self.address(master)
        if self.info(master).get("role") != "master":
            return f"{master} is no master"
        for node in NODES:
            replication = self.info(node) if node != master else {}
            following = replication.get("master_host"), replication.get("master_link_status")
            if node != master and following != (where, "up"):
                return f"{node} follows {following}, not {where}"
        published = self.master_in_dns()
        return "" if published == f"{where} 6379" else f"DNS has {published!r} for the master, not {where}"

    def wait_converged(self, master: str, timeout: float = 90) -> None:
        """Return once everybody follows that master, and DNS says so."""
        problem = ""

        def converged() -> bool:
            nonlocal problem
            try:
                problem = self.problem(master)
            except DockerError as error:
                problem = str(error)
            return not problem

        try:
            wait_until(converged, f"all follow {master}", timeout, interval=0.2)
        except TimeoutError as error:
            said = "\n".join(self.logs(service)[-3000:] for service in ("topology-observer", "dictator", "dnsd"))
            raise AssertionError(f"{error}: {problem}\n{said}") from None

    def changes(self) -> int:
        """How many changes of master the dictator has made since its container was made."""
        return len(re.findall(r"applied master \S+: changed", self.logs("dictator")))

    @contextmanager
    def counter(self, key: str, *, count: int = 20_000, writers: int = 4) -> Iterator[Counter]:
        """A counter that has written some hundred values by now."""
        settings: Sequence[str] = (
            f"COUNTER_KEY={key}",
            f"COUNTER_COUNT={count}",
            f"COUNTER_WRITERS={writers}",
            "COUNTER_INTERVAL=1",
        )
        name = f"{self.project}-{key}"
        argv = [*self.command.split(), "run", "--rm", "--no-deps", "-T", "--name", name]
        argv += [word for setting in settings for word in ("-e", setting)]
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                [*argv, "redis-counter"],
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
            try:
                counter = Counter(process, output)
                wait_until(lambda: self._length(key) > 300 or not counter.running, "the counter writes", timeout=60)
                yield counter
            finally:
                if process.poll() is None:
                    docker("rm", "--force", name)
                    process.wait(30)

    def _length(self, key: str) -> int:
        return max(int(self.redis(node, "llen", key) or 0) for node in NODES)

    def containers(self) -> list[dict[str, Any]]:
        """What the engine knows of each running container."""
        return [inspect(name) for name in self.compose("ps", "--quiet").split()]
