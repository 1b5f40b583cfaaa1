"""The footprint of the three services: memory, time to start, and CPU time while idle.

They run in a cluster of three nodes whose topology has been applied. PSS: the memory of a service's processes; shared
memory is divided among those that share it. start: from the start of the process until it answers /healthz; the
observer, which listens on no port, until its first line in the log. idle CPU: user and system time, in percent of a
core, while records are refreshed and the trigger is watched.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import common, figures
from sandbox.cluster import Cluster
from sandbox.process import Process, wait_until

HEADS = ("service", "processes", "PSS MB", "start ms", "starts", "idle CPU %")
TICKS = os.sysconf("SC_CLK_TCK")
POLL = 0.002


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    parser = common.options(__doc__)
    parser.add_argument("--idle", type=float, default=30, help="seconds to idle (30)")
    parser.add_argument("--starts", type=int, default=10, help="starts of each service (10)")
    chosen = parser.parse_args(argv)
    idle, starts = (10, 3) if chosen.quick else (chosen.idle, chosen.starts)
    with common.directory(chosen.directory) as directory, Cluster(directory) as cluster:
        cluster.define(cluster.document("core-01"))
        cluster.apply()
        wait_until(lambda: cluster.resolves("master.redis-1.docker"), "the master is published", 30)
        services = _footprints(_processes(cluster), idle)
        for service in services:
            service["starts"] = _starts(cluster, service["service"], starts)
    print(figures.table(HEADS, [_row(service) for service in services]))
    common.finish({"services": services}, _ratios(services), chosen.json)
    return 0


def _processes(cluster: Cluster) -> dict[str, Process]:
    return {
        "dictator": cluster.dictator.process,
        "dnsd": cluster.dnsd.process,
        "topology_observer": cluster.observer.process,
    }


def _footprints(processes: dict[str, Process], idle: float) -> list[dict[str, Any]]:
    pids = {name: _tree(process.pid) for name, process in processes.items()}
    before, started = {name: sum(map(_cpu, mine)) for name, mine in pids.items()}, time.monotonic()
    common.say(f"idling for {idle:g} s")
    time.sleep(idle)
    passed = time.monotonic() - started
    return [
        {
            "service": name,
            "processes": len(mine),
            "pss": sum(map(_pss, mine)),
            "idle": 100 * (sum(map(_cpu, mine)) - before[name]) / passed,
        }
        for name, mine in pids.items()
    ]


def _tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(descendant for child in children for descendant in _tree(int(child)))]


def _pss(pid: int) -> float:
    """The proportional set size of a process in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000 * 1.024
    raise RuntimeError(f"/proc/{pid}/smaps_rollup has no line for Pss")


def _cpu(pid: int) -> float:
    """The user and system time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _starts(cluster: Cluster, name: str, count: int) -> list[float]:
    if name == "topology_observer":
        return [
            _start(cluster.observer.stop, lambda: cluster.observer.start(wait=False), cluster.observer.answers)
            for _ in range(count)
        ]
    service = cluster.dictator if name == "dictator" else cluster.dnsd
    # only the process: starting the unit would also give it a new port and register it again
    return [_start(service.process.stop, service.process.start, service.answers) for _ in range(count)]


def _start(stop: Callable[[], None], start: Callable[[], None], answers: Callable[[], bool]) -> float:
    stop()
    started = time.perf_counter()
    start()
    wait_until(answers, "the service answers", 20, POLL)
    return (time.perf_counter() - started) * 1000


def _row(service: dict[str, Any]) -> list[object]:
    starts = service["starts"]
    return [
        service["service"],
        service["processes"],
        service["pss"],
        figures.median(starts),
        len(starts),
        service["idle"],
    ]


def _ratios(services: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {
        "PSS MB together": sum(service["pss"] for service in services),
        "slowest start ms": max(figures.median(service["starts"]) for service in services),
        "most idle CPU %": max(service["idle"] for service in services),
    }


if __name__ == "__main__":
    sys.exit(main())
