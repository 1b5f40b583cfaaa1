"""How the dictator and dnsd grow with the number of slaves: 2, 10 and 50.

apply: a switch by PUT /master, with one writer, which waits 1 ms after an ack. bare: the commands of an apply over bare
sockets, each sent to all instances before the first answer is read, without a service, a check or a writer. window:
from the last ack of the old master to the first of the new one, at the writer, which knows the new address. no-op: PUT
/master when all is as wanted; its errors are those that the writer got meanwhile. dns: PUT /dns, with a record for each
instance in etcd. All durations are medians in ms.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import common, figures
from bench.cells import HOST, Dictator
from bench.floor import Bare
from bench.load import Load, Order, judged, window
from sandbox.etcd import EtcdServer
from sandbox.web import WebServer

SLAVES = (2, 10, 50)
HEADS = (
    "slaves",
    "switches",
    "apply",
    "bare",
    "window",
    "window p99",
    "no-op",
    "no-op errors",
    "dns",
    "missing",
    "phantom",
)
# how long the writer writes before and after what is measured, in seconds
LEAD = 0.1
# between an ack and the next write, in seconds: each write wakes every slave, and 50 would take all of two cores
INTERVAL = 0.001


def main(argv: Sequence[str] | None = None) -> int:
    """Run all sizes, print the table; 1 if a write was lost."""
    parser = common.options(__doc__)
    parser.add_argument("--slaves", type=int, nargs="+", default=SLAVES, help="how many slaves (2 10 50)")
    parser.add_argument("--switches", type=int, default=20, help="switches, no-ops and PUTs at dnsd of each size (20)")
    chosen = parser.parse_args(argv)
    count = 5 if chosen.quick else chosen.switches
    with common.directory(chosen.directory) as directory:
        sizes = [_size(directory / str(slaves), slaves, count) for slaves in chosen.slaves]
    print(figures.table(HEADS, [_row(size) for size in sizes]))
    print(f"\nwhere the time of apply goes:\n{figures.table(*_profile(sizes))}")
    common.finish({"sizes": sizes}, _ratios(sizes), chosen.json)
    return 1 if any(size["missing"] or size["phantom"] for size in sizes) else 0


def _size(directory: Path, slaves: int, count: int) -> dict[str, Any]:
    results: dict[str, Any] = {"slaves": slaves, "apply": [], "window": [], "no-op": [], "errors": 0}
    results |= {"missing": 0, "phantom": 0, "steps": {}}
    with Dictator(directory, slaves + 1) as cell:
        for _ in range(count):
            _switch(cell, results)
        for _ in range(count):
            _no_op(cell, results)
    with Bare(directory / "bare", slaves + 1) as bare:
        results["bare"] = [_bare(bare) for _ in range(count)]
    results["dns"] = _dns(directory, slaves, count)
    common.say(f"{slaves} slaves done")
    return results


def _switch(cell: Dictator, results: dict[str, Any]) -> None:
    cell.settle()
    old, new = cell.master, (cell.master + 1) % len(cell.servers)
    with Load(Order(cell.addresses, old, new, "bench", 1, interval=INTERVAL)) as load:
        load.wait("writing")
        time.sleep(LEAD)
        results["apply"].append(_timed(lambda: cell.switch(new)))
        load.wait("moved")
        time.sleep(LEAD)
    for step in cell.receipt["steps"]:
        results["steps"].setdefault(step["step"], []).append(step["ms"])
    verdict = judged(load.report, cell.links[new].send(("LRANGE", "bench", 0, -1), ("DEL", "bench"))[0])
    results["window"].append(window(load.report, new, verdict.missing))
    results["missing"] += len(verdict.missing)
    results["phantom"] += len(verdict.phantom)


def _bare(cell: Bare) -> float:
    cell.settle()
    return _timed(lambda: cell.switch((cell.master + 1) % len(cell.servers)))


def _no_op(cell: Dictator, results: dict[str, Any]) -> None:
    cell.settle()
    at = cell.master
    with Load(Order(cell.addresses, at, at, "bench", 1, interval=INTERVAL)) as load:
        load.wait("writing")
        results["no-op"].append(_timed(lambda: cell.switch(at)))
    if cell.receipt["changed"]:
        raise RuntimeError(f"this was to change nothing: {cell.receipt}")
    results["errors"] += len(load.report["refused"])
    cell.links[at].send(("DEL", "bench"))


def _dns(directory: Path, slaves: int, count: int) -> list[float]:
    """PUT /dns, the master moving from one to the next, as it does behind the dictator."""
    names = [f"core-{number:02}" for number in range(slaves + 1)]
    with EtcdServer(directory / "etcd") as etcd:
        for number, name in enumerate(names):
            record = json.dumps({"host": HOST, "port": 1024 + number})
            etcd.keys.put(f"/skydns/docker/redis-1/{name}", record)
        env = {"PUBLISH_DOMAIN": "redis-1.docker", "ETCD_PEERS": etcd.url}
        with WebServer("dnsd", directory / "dnsd.log", env) as dnsd:
            return [
                _timed(lambda turn=turn: _put(dnsd, names[turn:] + names[:turn]))
                for turn in (number % len(names) for number in range(count))
            ]


def _put(dnsd: WebServer, names: Sequence[str]) -> None:
    master, *slaves = ({"address": f"{name}.redis-1.docker"} for name in names)
    status, body, _ = dnsd.request("PUT", "/dns", json.dumps({"master": master, "slaves": slaves}))
    if status != 200:
        raise RuntimeError(f"dnsd answered {status}: {body}")


def _timed(do: Any) -> float:
    started = time.perf_counter()
    do()
    return (time.perf_counter() - started) * 1000


def _row(size: dict[str, Any]) -> list[object]:
    return [
        size["slaves"],
        len(size["apply"]),
        figures.median(size["apply"]),
        figures.median(size["bare"]),
        figures.median(size["window"]),
        figures.percentile(size["window"], 99),
        figures.median(size["no-op"]),
        size["errors"],
        figures.median(size["dns"]),
        size["missing"],
        size["phantom"],
    ]


def _profile(sizes: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[object]]]:
    """The medians of each step of the receipts, a column for each size."""
    names = dict.fromkeys(name for size in sizes for name in size["steps"])
    heads = ["step", *(f"{size['slaves']} slaves" for size in sizes)]
    return heads, [[name, *(figures.median(size["steps"].get(name, [])) for size in sizes)] for name in names]


def _ratios(sizes: Sequence[dict[str, Any]]) -> dict[str, float]:
    small, large = sizes[0], sizes[-1]
    name = f"{large['slaves']}/{small['slaves']} slaves"
    ratios = {
        f"{what} {name}": figures.median(large[what]) / figures.median(small[what])
        for what in ("apply", "bare", "window", "no-op", "dns")
    }
    return ratios | {
        f"apply/bare with {large['slaves']} slaves": figures.median(large["apply"]) / figures.median(large["bare"]),
        f"no-op ms with {small['slaves']} slaves": figures.median(small["no-op"]),
        "no-op errors": sum(size["errors"] for size in sizes),
    }


if __name__ == "__main__":
    sys.exit(main())
