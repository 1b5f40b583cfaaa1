"""How fast redis-counter writes, compared with redis-benchmark on as many connections.

Both push values of 36 bytes onto a list of one instance, without pipelining: each connection waits for its answer. They
take turns, each time on an empty list. The figures are medians, in writes per second.
"""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence

from bench import ROOT, common, figures
from sandbox.etcd import EtcdServer
from sandbox.redis import RedisServer
from sandbox.skydns import SkyDns

HEADS = ("connections", "rounds", "redis-counter", "redis-benchmark", "ratio")
CONNECTIONS = (1, 8)
VALUE = 36


class BenchmarkError(Exception):
    """A program didn't report its speed; the message includes its output."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run both in turns and print the table."""
    parser = common.options(__doc__)
    parser.add_argument("--count", type=int, default=200_000, help="writes of each run (200000)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (5)")
    parser.add_argument("--connections", type=int, nargs="+", default=CONNECTIONS, help="connections (1 8)")
    chosen = parser.parse_args(argv)
    count, rounds = (30_000, 3) if chosen.quick else (chosen.count, chosen.rounds)
    speeds: dict[tuple[str, int], list[float]] = {}
    with (
        common.directory(chosen.directory) as directory,
        RedisServer(directory / "redis", config={"appendonly": "yes"}) as server,
        EtcdServer(directory / "etcd") as etcd,
        SkyDns(etcd.url, directory / "skydns") as dns,
    ):
        etcd.keys.put("/skydns/docker/redis-1/master", json.dumps({"host": server.host, "port": server.port}))
        for _ in range(rounds):
            for connections in chosen.connections:
                for name, speed in (
                    ("counter", _counter(dns.port, connections, count)),
                    ("benchmark", _benchmark(server, connections, count)),
                ):
                    speeds.setdefault((name, connections), []).append(speed)
                    with server.client() as client:
                        client.flushall()
    print(figures.table(HEADS, [_row(connections, speeds) for connections in chosen.connections]))
    ratios = {f"counter/redis-benchmark w{count}": _ratio(count, speeds) for count in chosen.connections}
    measured = {f"{name} {connections}": values for (name, connections), values in speeds.items()}
    common.finish({"writes a second": measured}, ratios, chosen.json)
    return 0


def _counter(dns_port: int, writers: int, count: int) -> float:
    env = {
        "NAMESERVERS": "127.0.0.1",
        "NAMESERVERS_PORT": str(dns_port),
        "COUNTER_COUNT": str(count),
        "COUNTER_WRITERS": str(writers),
        "COUNTER_INTERVAL": "0",
        "COUNTER_CLIENT": "plain",
    }
    output = _output([sys.executable, "redis-counter"], os.environ | env)
    speed = re.search(r"\((\d+) a second\)", output)
    if speed is None or "(0 missing)" not in output:
        raise BenchmarkError(f"redis-counter printed {output!r}")
    return float(speed[1])


def _benchmark(server: RedisServer, connections: int, count: int) -> float:
    where = ["-h", server.host, "-p", str(server.port)]
    what = ["-t", "rpush", "-c", str(connections), "-n", str(count), "-d", str(VALUE), "-P", "1", "--csv"]
    output = _output(["redis-benchmark", *where, *what], os.environ)
    for row in csv.reader(io.StringIO(output)):
        if row and row[0].startswith("RPUSH"):
            return float(row[1])
    raise BenchmarkError(f"redis-benchmark printed {output!r}")


def _output(argv: Sequence[str], env: os._Environ[str] | dict[str, str]) -> str:
    done = subprocess.run(
        argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchmarkError(f"{argv[0]} ended with status {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout


def _ratio(connections: int, speeds: dict[tuple[str, int], list[float]]) -> float:
    return figures.median(speeds["counter", connections]) / figures.median(speeds["benchmark", connections])


def _row(connections: int, speeds: dict[tuple[str, int], list[float]]) -> list[object]:
    mine = speeds["counter", connections]
    theirs = speeds["benchmark", connections]
    return [connections, len(mine), figures.median(mine), figures.median(theirs), _ratio(connections, speeds)]


if __name__ == "__main__":
    sys.exit(main())
