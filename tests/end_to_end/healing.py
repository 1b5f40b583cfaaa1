"""Checks that the cluster is in the declared state, and writers that report lost writes."""

import re
import sys
import time
from collections.abc import Collection
from pathlib import Path

import dns.exception
import redis

from dictator import lineage
from sandbox.cluster import Cluster
from sandbox.process import Process, wait_until

KEY = "debug:counter:stack"
KEPT = "written-before-anything-happened"
LINE = re.compile(r"ack'd: (\d+) \((\d+) missing\) err'd: (\d+) \((\d+) phantom\)")


def count_while_the_scripts_move_the_master(env: dict[str, str], directory: Path) -> None:
    """Runs redis-counter beside mess-with-cluster.sh, with 2,000 writes, and asserts that nothing is lost."""
    env = env | {"COUNTER_COUNT": "2000", "COUNTER_INTERVAL": "2", "MESS_INTERVAL": "1"}
    mess = Process(["sh", "scripts/mess-with-cluster.sh"], log=directory / "mess", env=env)
    counter = Process([sys.executable, "redis-counter"], log=directory / "counter", env=env)
    mess.start()
    try:
        counter.start()
        wait_until(lambda: not counter.running, "the counter has ended", timeout=100)
    finally:
        counter.kill()
        mess.stop()
    output = counter.log.read_text()
    assert counter.returncode == 0, output
    match = LINE.search(output)
    assert match, output
    assert (match[2], match[4]) == ("0", "0")
    assert mess.log.read_text().count("master: ") >= 3


def wait_healed(cluster: Cluster, master: str, *, without: Collection[str] = (), timeout: float = 60) -> None:
    """Wait until all follow `master`, hold its data and its lineage record, and DNS says so.

    The first second after a full copy, a slave's link is up before the stream flows: the record comes by the stream.
    The error lists what is wrong.

    `without` are slaves that are away: nothing is asked of them.
    """
    deadline = time.monotonic() + timeout
    while wrong := [*_wrong_roles(cluster, master, without), *_wrong_dns(cluster, master, without)]:
        assert time.monotonic() < deadline, f"not healed in {timeout:g} s: {'; '.join(wrong)}"
        time.sleep(0.05)


def _wrong_roles(cluster: Cluster, master: str, without: Collection[str]) -> list[str]:
    wrong = []
    port = cluster.nodes[master].redis.port
    for name, node in cluster.nodes.items():
        if name in without:
            continue
        wanted = {"role": "master"}
        if name != master:
            wanted = {"role": "slave", "master_link_status": "up", "master_port": str(port)}
        try:
            info = node.redis.client().info("replication")
            kept, record = node.redis.client().mget(KEPT, lineage.KEY)
        except redis.RedisError as error:
            wrong.append(f"{name}: {error}")
            continue
        if kept is None:
            wrong.append(f"{name} has lost {KEPT}")
        if record is None:
            wrong.append(f"{name} has no lineage record")
        actual = {field: str(info.get(field)) for field in wanted}
        if actual != wanted:
            wrong.append(f"{name} is {actual}, wanted {wanted}")
    return wrong


def _wrong_dns(cluster: Cluster, master: str, without: Collection[str]) -> list[str]:
    slaves = {name: node for name, node in cluster.nodes.items() if name != master}
    here = {node.redis.port for name, node in slaves.items() if name not in without}
    away = {node.redis.port for name, node in slaves.items() if name in without}
    wrong = []
    published = _ports(cluster, "master.redis-1.docker")
    if published != {cluster.nodes[master].redis.port}:
        wrong.append(f"DNS has the master at {published}")
    # The record of a dead slave may have expired or not.
    published = _ports(cluster, "slaves.redis-1.docker")
    if published - away != here:
        wrong.append(f"DNS has the slaves at {published}, wanted {here}")
    return wrong


def _ports(cluster: Cluster, name: str) -> set[int]:
    try:
        answer = cluster.nameserver.query(name).answer
    except (OSError, dns.exception.DNSException):
        return set()
    return {srv.port for rrset in answer for srv in rrset}


class Writers:
    """redis-counter with two writers, one write each 2 ms, until finish() is called."""

    def __init__(self, cluster: Cluster, log: Path, *, key: str = KEY, dns_port: int | None = None) -> None:
        self._cluster = cluster
        self._key = key
        env = {"COUNTER_COUNT": "1000000", "COUNTER_INTERVAL": "2", "COUNTER_WRITERS": "2", "COUNTER_KEY": key}
        env |= cluster.environment()
        if dns_port is not None:
            env["NAMESERVERS_PORT"] = str(dns_port)
        self.process = Process([sys.executable, "redis-counter"], log=log, env=env)

    def start(self) -> None:
        """Start to write; return when writes arrive."""
        self.process.start()
        self.wait_progress("core-01")

    def wait_progress(self, master: str, more: int = 200) -> None:
        """Wait until the master holds this many more writes than now."""
        client = self._cluster.nodes[master].redis.client()
        wanted = client.llen(self._key) + more
        self.process.wait_until(lambda: client.llen(self._key) >= wanted, f"{master} holds {wanted} writes", timeout=60)

    def assert_nothing_lost(self) -> None:
        """Stop writing and compare: some writes were acknowledged, none is missing, none is a phantom."""
        self.process.stop(timeout=60)
        output = self.process.log.read_text()
        match = LINE.search(output)
        assert match, output
        acked, missing, _, phantom = map(int, match.groups())
        assert (missing, phantom) == (0, 0), output
        assert acked > 0, output


def wait_logged(process: Process, text: str, offset: int) -> None:
    """Wait until the log holds `text` beyond its first `offset` bytes."""

    def logged() -> bool:
        return text.encode() in process.log.read_bytes()[offset:]

    wait_until(logged, f"{process.log} holds {text!r}", interval=0.0005)
