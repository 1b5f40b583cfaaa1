"""Three hosts with systemd and Docker but without fleet, set up by the commands of docs/systemd.md."""

import re
from collections.abc import Iterator

import pytest

from safe_redis import __version__
from sandbox import binaries
from sandbox.process import ROOT, wait_until
from tests.units.cluster import STATES, Cluster, name
from tests.units.hosts import Host, HostError, Hosts

pytestmark = pytest.mark.timeout(900)

PAGE = (ROOT / "docs/systemd.md").read_text()
BLOCK = re.compile(r"^```sh ([a-z-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# what the host image has for the tests of fleet's units
NOT_HERE = ("registrator.service", "skydns.service", "etcd.service")
ALONE = {"first-host": "topology-observer", "second-host": "dictator", "third-host": "dnsd"}


def commands(where: str) -> str:
    """All commands that the page gives for a place, in order."""
    return "".join(text for place, text in BLOCK.findall(PAGE) if place == where)


class Systemd(Cluster):
    """The hosts, by the page's commands."""

    def install(self) -> None:
        """Do what the page says, on each host."""
        given = " ".join(f"{host.name}={host.address}" for host in self.hosts)
        script = re.sub(r'^hosts=".*"$', f'hosts="{given}"', commands("each-host"), flags=re.MULTILINE)
        for host in self.hosts:
            for program in (binaries.etcd("3.7"), binaries.coredns()):
                path = f"/usr/local/bin/{program.name}"
                host.run("sh", "-c", f"cat >{path} && chmod 755 {path}", data=program.read_bytes())
            self.shell(host, script)
        for host, place in zip(self.hosts, ALONE, strict=True):
            self.shell(host, commands(place))

    def shell(self, host: Host, script: str) -> str:
        """Run a script of the page in the checkout."""
        return host.run("sh", "-euc", f"cd /project\n{script}", timeout=180)

    def operate(self, script: str) -> None:
        """Run a script as an operator, from the first host."""
        address = self.hosts[0].address
        export = f"export ETCD_API=v3 ETCD_URL=http://{address}:2379 DNS_SERVER={address}\n"
        self.shell(self.hosts[0], export + script)

    def move(self, master: str) -> None:
        """Make another node the master."""
        slaves = ",".join(f'{{"address": "{host.name}.redis-1.docker"}}' for host in self.hosts if host.name != master)
        document = f'{{"master": {{"address": "{master}.redis-1.docker"}}, "slaves": [{slaves}]}}'
        self.operate(f"echo '{document}' | sh scripts/define-topology.sh -\nsh scripts/apply-topology.sh --no-wait\n")

    def wait_settled(self, master: str) -> None:
        """Wait until all follow the master and each host's DNS names it."""
        try:
            wait_until(lambda: self.is_settled(master), f"{master} is master", 180, 0.5)
        except TimeoutError as error:
            journals = [host.journal(name(unit), 25) for host, unit in zip(self.hosts, ALONE.values(), strict=True)]
            raise HostError("\n".join([str(error), str(self.seen()), *journals])) from None


@pytest.fixture(scope="module")
def systemd(images: tuple[str, ...]) -> Iterator[Systemd]:
    with Hosts(("core-01", "core-02", "core-03"), images, join=False) as hosts:
        for host in hosts:
            host.resolve_here()
            for image in images:
                host.run("docker", "tag", image, image.replace(":test", f":{__version__}"))
            for unit in NOT_HERE:
                host.run("systemctl", "stop", unit)
                host.run("rm", "-f", f"/etc/systemd/system/{unit}")
        cluster = Systemd(tuple(hosts))
        cluster.install()
        yield cluster


def test_the_pages_commands_bring_up_a_cluster_that_loses_nothing(systemd: Systemd) -> None:
    first, second, third = systemd.hosts
    for host in systemd.hosts:
        for unit in ("node", "node-config", "node-data"):
            host.reaches(name(unit), STATES[unit], 180)
        host.reaches(name("registrar"), "active (running)", 180)
    operator = commands("operator").partition("\n")[2]
    systemd.operate(operator)
    systemd.wait_settled("core-01")

    counter = ("docker", "run", "--rm", "--dns", first.address)
    options = ("--env", "COUNTER_COUNT=1000000", "--env", "COUNTER_INTERVAL=5", "--name", "counter")
    first.run("systemd-run", "--unit=counter", *counter, *options, f"safe-redis/redis-counter:{__version__}")
    systemd.move("core-02")
    systemd.wait_settled("core-02")
    systemd.move("core-01")
    systemd.wait_settled("core-01")

    first.run("systemctl", "restart", name("node"), timeout=90)  # the master, which comes back under another port
    systemd.wait_settled("core-01")

    third.reboot()  # a slave, and dnsd
    systemd.wait_settled("core-01")

    second.power_off()  # a slave, and the dictator
    systemd.shell(third, commands("second-host"))
    third.reaches(name("dictator"), "active (running)", 180)
    systemd.move("core-03")
    role = "docker exec redis-1-node redis-cli ROLE | grep -q ^master"
    wait_until(lambda: third.succeeds("sh", "-c", role), "core-03 is master", 180, 0.5)
    second.power_on()
    systemd.wait_settled("core-03")

    first.run("docker", "stop", "--time", "60", "counter", timeout=90)
    wait_until(lambda: "err'd" in first.journal("counter"), "the counter has ended", 60, 0.2)
    match = re.search(r"ack'd: (\d+) \(0 missing\) err'd: \d+ \(0 phantom\)", first.journal("counter"))
    assert match, first.journal("counter", 40)
    assert int(match[1]) > 0


def test_the_butane_file_takes_the_units_that_there_are() -> None:
    """`butane --strict` has translated it; this sees that it still fits."""
    (butane,) = re.findall(r"^```yaml\n(variant: flatcar\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    files = re.findall(r"contents_local: (\S+)", butane)
    assert [path for path in files if not (ROOT / path).exists()] == []
    given = re.findall(r"- name: (\S+)\n +contents_local: (\S+)", butane)
    assert [unit for unit, path in given if path != f"units/{unit}"] == []
    wanted = " ".join(re.findall(r"Wants=(.*)", butane)).split()
    assert sorted(wanted) == sorted(unit for unit, _ in given)
    assert 'ETCD_PEERS="http' in butane
