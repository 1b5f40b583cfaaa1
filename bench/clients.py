"""What an application sees of a switch, by the client that it uses: errors, and the longest pause of any thread.

The whole system on this machine, its topology applied by the dictator and published by dnsd; for Sentinel a group of
its own, switched by SENTINEL FAILOVER, where acks count that are lost afterwards. One application process with eight
threads that share a client; each waits 1 ms after an ack.

window: the dictator's own receipt, from the pause of writes to the promotion; for Sentinel, until +switch-master.
pause: the longest time in a switch that a thread waited for an ack, retries included. errors: those that the
application was given. doubled: values that are in the list twice. All durations are in ms. The second table has the
commands per second of one thread, in turns.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import redis

from bench import common, figures
from bench.applications import SERVICE, Application, Place
from bench.rivals import SentinelFailover
from safe_redis import client as safe
from sandbox.cluster import Cluster
from sandbox.haproxy import HaProxy

HEADS = ("client", "switches", "window median", "pause min", "median", "p99", "errors", "acked", "missing", "doubled")
THREADS = 8
LEAD = 0.15
"""Seconds that the application writes before and after a switch."""
SENTINEL = "redis-py, Sentinel"


@dataclass
class Result:
    """All switches of one client. Durations are in ms."""

    client: str
    windows: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    acked: int = 0
    missing: int = 0
    doubled: int = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run all clients, print the tables; 1 if ours has lost or doubled a write, or let the application see an error."""
    parser = common.options(__doc__)
    parser.add_argument("--switches", type=int, default=20, help="for each client (20); Sentinel makes a tenth of them")
    chosen = parser.parse_args(argv)
    switches = 10 if chosen.quick else chosen.switches
    with common.directory(chosen.directory) as directory:
        results, speeds = _with_cluster(directory / "cluster", switches)
        results.append(_with_sentinel(directory / "sentinel", max(1, switches // 10)))
    print(figures.table(HEADS, [_row(result) for result in results]))
    print()
    print(figures.table(("client", "commands/s"), [[name, figures.median(speed)] for name, speed in speeds.items()]))
    ours = results[0]
    common.finish({"clients": [asdict(result) for result in results]}, _ratios(results, speeds), chosen.json)
    return 1 if ours.errors or ours.missing or ours.doubled else 0


def _with_cluster(directory: Path, switches: int) -> tuple[list[Result], dict[str, list[float]]]:
    with Cluster(directory) as cluster:
        names = list(cluster.nodes)
        _apply(cluster, names[0])
        masters = itertools.cycle([*names[1:], names[0]])

        def switch() -> float:
            return _apply(cluster, next(masters))

        with HaProxy(directory / "haproxy", f"127.0.0.1:{cluster.dns_port}") as proxy:
            place = Place(nameserver=("127.0.0.1", cluster.dns_port), proxy=proxy.port)
            results = []
            for kind in ("safe_redis.client", "redis-py", "redis-py, HAProxy"):
                results.append(_measure(kind, place, switch, switches, partial(_stored, cluster, kind)))
                common.say(f"{kind}: {switches} switches")
        return results, _speeds(cluster)


def _with_sentinel(directory: Path, switches: int) -> Result:
    directory.mkdir(parents=True, exist_ok=True)
    with SentinelFailover(directory) as cell:
        host, port = cell.sentinel

        def switch() -> float:
            cell.settle()
            started = time.monotonic()
            cell.switch(-1)
            return (time.monotonic() - started) * 1000

        def stored() -> list[str]:
            cell.settle()
            return [str(value) for value in cell.servers[cell.master].client().lrange(SENTINEL, 0, -1)]

        return _measure(SENTINEL, Place(sentinel=(host, port)), switch, switches, stored)


def _measure(
    kind: str, place: Place, switch: Callable[[], float], switches: int, stored: Callable[[], list[str]]
) -> Result:
    result = Result(kind)
    spans = []
    with Application(kind, place, kind, THREADS) as application:
        for _ in range(switches):
            time.sleep(LEAD)
            started = time.monotonic()
            result.windows.append(switch())
            ended = time.monotonic()
            time.sleep(LEAD)
            spans.append((started, ended))
    report = application.report
    result.pauses = [report.pause(*span) for span in spans]
    result.errors = dict(report.errors)
    judged = report.judge(stored())
    result.acked, result.missing, result.doubled = judged.acked, len(judged.missing), len(judged.duplicates)
    return result


def _apply(cluster: Cluster, master: str) -> float:
    """PUT to the dictator, then to dnsd, as the observer does; the window in ms."""
    document = json.dumps(cluster.document(master))
    window = 0.0
    for service, path in ((cluster.dictator, "/master"), (cluster.dnsd, "/dns")):
        answer = service.request("PUT", path, document, headers={"Accept": "application/json"})
        if answer.status not in {200, 202}:
            raise RuntimeError(f"{path} answered {answer.status}: {answer.body}")
        if path == "/master":
            window = float(json.loads(answer.body).get("window_ms") or 0.0)
    return window


def _master(cluster: Cluster) -> str:
    return next(name for name, node in cluster.nodes.items() if node.redis.client().role()[0] == "master")


def _stored(cluster: Cluster, key: str) -> list[str]:
    client = cluster.nodes[_master(cluster)].redis.client()
    values = [str(value) for value in client.lrange(key, 0, -1)]
    client.delete(key)
    return values


def _speeds(cluster: Cluster, rounds: int = 20, commands: int = 500) -> dict[str, list[float]]:
    """Commands per second of one thread, in turns."""
    server = cluster.nodes[_master(cluster)].redis
    clients: dict[str, redis.Redis] = {
        "safe_redis.client": safe.connect(
            SERVICE, nameservers=["127.0.0.1"], nameservers_port=cluster.dns_port, protocol=2
        ),
        "redis-py": redis.Redis(server.host, server.port, protocol=2),
    }
    speeds: dict[str, list[float]] = {name: [] for name in clients}
    for _ in range(rounds):
        for name, client in clients.items():
            client.ping()
            started = time.perf_counter()
            for _ in range(commands):
                client.incr("speed")
            speeds[name].append(commands / (time.perf_counter() - started))
    for client in clients.values():
        client.close()
    return speeds


def _row(result: Result) -> list[object]:
    errors = ", ".join(f"{name} {count}" for name, count in sorted(result.errors.items())) or "0"
    return [
        result.client,
        len(result.pauses),
        figures.median(result.windows),
        min(result.pauses),
        figures.median(result.pauses),
        figures.percentile(result.pauses, 99),
        errors,
        result.acked,
        result.missing,
        result.doubled,
    ]


def _ratios(results: Sequence[Result], speeds: Mapping[str, list[float]]) -> dict[str, float]:
    ours = results[0]
    pairs = zip(speeds["safe_redis.client"], speeds["redis-py"], strict=True)
    made = {
        "pause/window median": figures.median(
            [pause / window for pause, window in zip(ours.pauses, ours.windows, strict=True) if window]
        ),
        "throughput/redis-py": figures.median([mine / theirs for mine, theirs in pairs]),
        "errors": float(sum(ours.errors.values())),
    }
    return made | {
        f"{result.client}/ours pause median": figures.median(result.pauses) / figures.median(ours.pauses)
        for result in results[1:]
    }


if __name__ == "__main__":
    sys.exit(main())
