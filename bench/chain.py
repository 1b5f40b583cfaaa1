"""The whole way of a change, as a client lives through it: etcd, observer, dictator, dnsd, DNS, and the client itself.

In a cluster of three nodes, the trigger is written and the master moves, again and again, while a client in a process
of its own writes, and rediscovers the master by SRV when a write fails. All figures are in ms.

The phases follow one another, by the services' own logs: trigger (written, until the observer sends PUT /master),
resolve and observe, prepare (writes go on), window (pause to promotion), answer (the dictator's interim one, until the
observer sends PUT /dns). By the client's: visible (from then until a look-up has found the new master) and first ack
(from then on).

follow is what the slaves need meanwhile. publish is all of PUT /dns, of which the master's record is the first write;
lookup is the look-up that found it. outage is what the client lived through: from its last ack on the old master to its
first on the new one.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench import ROOT, common, figures, logs
from sandbox.cluster import Cluster
from sandbox.process import wait_until

PHASES = ("trigger", "resolve", "observe", "prepare", "window", "answer", "visible", "first ack")
APART = ("follow", "publish", "lookup", "outage")
HEADS = ("phase", "min", "median", "p99")
SERVICE = "master.redis-1.docker"
JSON = {"LOG_FORMAT": "json"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print the table."""
    parser = common.options(__doc__)
    parser.add_argument("--switches", type=int, default=30, help="changes of master (30)")
    parser.add_argument("--nodes", type=int, default=3, help="nodes of the cluster (3)")
    parser.add_argument("--interval", type=float, default=1.0, help="ms between two writes of the client (1)")
    parser.add_argument(
        "--etcd",
        choices=("v2", "v3", "both"),
        default="v2",
        help="etcd's API, with CoreDNS for v3; both: one after the other, and the ratio of their outages (v2)",
    )
    chosen = parser.parse_args(argv)
    count = 8 if chosen.quick else chosen.switches
    apis = ("v2", "v3") if chosen.etcd == "both" else (chosen.etcd,)
    runs: dict[str, list[dict[str, float]]] = {}
    with common.directory(chosen.directory) as directory:
        for api in apis:
            settings = dict.fromkeys(("dictator", "dnsd", "observer"), JSON)
            with Cluster(directory / api, chosen.nodes, settings=settings, api=api) as cluster:
                runs[api] = _switches(cluster, count, chosen.interval / 1000)
            print(f"etcd's API {api}\n\n{_table(runs[api])}\n")
    ratios = _ratios(runs[apis[-1]])
    if chosen.etcd == "both":
        ratios["outage v3/v2"] = _median(runs["v3"], "outage") / _median(runs["v2"], "outage")
    common.finish({"switches": runs if chosen.etcd == "both" else runs[chosen.etcd]}, ratios, chosen.json)
    return 0


def _table(runs: Sequence[dict[str, float]]) -> str:
    return figures.table(HEADS, [_row(phase, [run[phase] for run in runs]) for phase in (*PHASES, *APART)])


def _ratios(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    outage = _median(runs, "outage")
    return {
        "outage ms median": outage,
        "outage/window": outage / _median(runs, "window"),
        "outage p99/median": figures.percentile([run["outage"] for run in runs], 99) / outage,
    }


def _median(runs: Sequence[dict[str, float]], phase: str) -> float:
    return figures.median([run[phase] for run in runs])


def _row(phase: str, values: Sequence[float]) -> list[object]:
    return [phase, min(values), figures.median(values), figures.percentile(values, 99)]


class Client:
    """The client's process."""

    def __init__(self, cluster: Cluster, interval: float) -> None:
        order = {
            "nameserver": "127.0.0.1",
            "nameserver_port": cluster.dns_port,
            "service": SERVICE,
            "key": "bench",
            "interval": interval,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.rediscover", json.dumps(order)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_at(self, port: int) -> None:
        """Until the instance at that port has acknowledged a write; the client itself gives up after a while."""
        said = self._line()
        if said != f"at {port}":
            raise RuntimeError(f"the client said {said!r}, expected to be at {port}")

    def end(self) -> dict[str, Any]:
        """What it lived through."""
        self._process.stdin.close()  # type: ignore[union-attr] # it is a pipe
        report: dict[str, Any] = json.loads(self._line())
        return report

    def kill(self) -> None:
        """For good."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr] # the same

    def _line(self) -> str:
        return self._process.stdout.readline().strip()  # type: ignore[union-attr] # the same


def _switches(cluster: Cluster, count: int, interval: float) -> list[dict[str, float]]:
    names = list(cluster.nodes)
    _apply(cluster, names[0])
    client = Client(cluster, interval)
    try:
        client.wait_at(cluster.nodes[names[0]].port)
        changes = []
        for number in range(1, count + 1):
            changes.append(_change(cluster, client, names[number % len(names)]))
            common.say(f"change {number} of {count}")
        report = client.end()
    finally:
        client.kill()
    return [_phases(change, report, place + 1) for place, change in enumerate(changes)]


def _change(cluster: Cluster, client: Client, master: str) -> dict[str, Any]:
    """Move the master; when the trigger was written, and what each service logged of it."""
    services = {"dictator": cluster.dictator, "dnsd": cluster.dnsd, "observer": cluster.observer}
    before = {name: service.process.log.stat().st_size for name, service in services.items()}
    cluster.define(cluster.document(master))
    triggered = time.time()
    cluster.apply()
    client.wait_at(cluster.nodes[master].port)
    _quiet(cluster, before["observer"])
    lines = {name: logs.lines_after(service.process.log, before[name]) for name, service in services.items()}
    return {"triggered": triggered, "port": cluster.nodes[master].port, **lines}


def _quiet(cluster: Cluster, offset: int) -> None:
    """Until the observer's run has ended."""
    log = cluster.observer.process.log
    wait_until(
        lambda: any("ended the run" in line.text for line in logs.lines_after(log, offset)), "the run has ended", 30
    )


def _apply(cluster: Cluster, master: str) -> None:
    offset = cluster.observer.process.log.stat().st_size
    cluster.define(cluster.document(master))
    cluster.apply()
    _quiet(cluster, offset)


def _phases(change: dict[str, Any], report: dict[str, Any], place: int) -> dict[str, float]:
    """One change as figures; `place` is that of the client's stretch on the new master."""
    dictator, observer = change["dictator"], change["observer"]
    put, dns = (logs.first(observer, f"notified http://redis-1-{name}") for name in ("dictator", "dnsd"))
    (_, last, _), (first, _, port) = report["served"][place - 1 : place + 1]
    lookup = next(lookup for lookup in report["lookups"] if lookup[0] > last and lookup[2] == port)
    return {
        "trigger": (put.began - change["triggered"]) * 1000,
        "resolve": logs.took(dictator, "resolve "),
        "observe": logs.took(dictator, "observe "),
        "prepare": logs.took(dictator, "prepare ", "verify ", "intend ", "halt "),
        "window": logs.took(dictator, "pause ", "drain ", "fence ", "promote "),
        "answer": (dns.began - logs.first(dictator, "hand over ").began) * 1000,
        "visible": (lookup[1] - dns.began) * 1000,
        "first ack": (first - lookup[1]) * 1000,
        "follow": logs.took(dictator, "hand over ", "follow "),
        "publish": dns.ms,
        "lookup": (lookup[1] - lookup[0]) * 1000,
        "outage": (first - last) * 1000,
    }


if __name__ == "__main__":
    sys.exit(main())
