"""The dictator's metrics: counted after each apply, and read from the instances at each scrape."""

from collections import Counter as Tally
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dictator.journal import Entry, Journal

ROLES = ("master", "slave", "parked", "unreachable")
# in seconds: a window takes a few ms, a whole apply mostly less than 0.1 s
WINDOWS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 2)
DURATIONS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


def register(journal: Journal, instances: Callable[[], list[dict[str, Any]]]) -> CollectorRegistry:
    """A registry with all metrics, which are updated from now on."""
    registry = CollectorRegistry()
    applies = Counter("safe_redis_applies", "Applies by result.", ["result"], registry=registry)
    changes = Counter("safe_redis_master_changes", "Changes of master.", registry=registry)
    window = Histogram("safe_redis_write_window_seconds", "Time without writes.", buckets=WINDOWS, registry=registry)
    duration = Histogram("safe_redis_apply_seconds", "Time of an apply.", buckets=DURATIONS, registry=registry)
    success = Gauge("safe_redis_last_success_timestamp_seconds", "When an apply last succeeded.", registry=registry)

    def count(entry: Entry) -> None:
        applies.labels(entry.result).inc()
        duration.observe(entry.duration_ms / 1000)
        if entry.succeeded:
            success.set(datetime.fromisoformat(entry.last).timestamp())
        if entry.receipt and entry.receipt.window_ms is not None:
            changes.inc()
            window.observe(entry.receipt.window_ms / 1000)

    journal.listen(count)
    registry.register(_Instances(journal, instances))
    return registry


class _Instances(Collector):
    def __init__(self, journal: Journal, instances: Callable[[], list[dict[str, Any]]]) -> None:
        self._journal = journal
        self._instances = instances

    def collect(self) -> Iterator[Metric]:
        """What is read anew at each scrape."""
        states = self._instances()
        roles = GaugeMetricFamily("safe_redis_instances", "Instances by role.", labels=["role"])
        tally = Tally(_role(state) for state in states)
        for role in ROLES:
            roles.add_metric([role], tally[role])
        up = GaugeMetricFamily("safe_redis_instance_up", "Whether the instance is reached.", labels=["instance"])
        lag = GaugeMetricFamily("safe_redis_lag_bytes", "How far a slave is behind the master.", labels=["instance"])
        linked = GaugeMetricFamily("safe_redis_link_up", "Whether a slave's link is up.", labels=["instance"])
        for state in states:
            name = str(state["instance"]).partition(" (")[0]
            up.add_metric([name], "error" not in state)
            if state.get("lag") is not None:
                lag.add_metric([name], state["lag"])
            if _role(state) == "slave":
                linked.add_metric([name], state["link"] == "up")
        yield from (roles, up, lag, linked)
        yield _paused(self._journal)

    def describe(self) -> Iterator[Metric]:
        """Nothing: the instances aren't asked when this is registered."""
        yield from ()


def _role(state: dict[str, Any]) -> str:
    if "error" in state:
        return "unreachable"
    return "parked" if state["parked"] else str(state["role"])


def _paused(journal: Journal) -> Metric:
    """When the pause began, with its reason; absent where there is none."""
    name = "safe_redis_paused_since_timestamp_seconds"
    metric = GaugeMetricFamily(name, "When the observer was paused, and why.", labels=["reason"])
    if pause := journal.history().paused:
        metric.add_metric([pause.reason], pause.timestamp)
    return metric
