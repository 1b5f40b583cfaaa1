"""dnsd's metrics: publications, and what keeps the records alive."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()
PUBLICATIONS = Counter("safe_redis_publications", "PUTs of a topology by HTTP status.", ["status"], registry=REGISTRY)
PUBLISHED = Gauge("safe_redis_last_publication_timestamp_seconds", "When a PUT last succeeded.", registry=REGISTRY)
WRITES = Counter("safe_redis_record_writes", "Records written, refreshes included.", registry=REGISTRY)
FAILURES = Counter("safe_redis_refresh_failures", "Refreshes that failed.", registry=REGISTRY)
RECORDS = Gauge("safe_redis_records", "Records that are refreshed.", registry=REGISTRY)


def count_publication(status: int) -> None:
    """Counts the answer to a PUT."""
    PUBLICATIONS.labels(str(status)).inc()
    if 200 <= status < 300:
        PUBLISHED.set_to_current_time()


def watch_records(count: Callable[[], int]) -> None:
    """Has the number of records read at each scrape."""
    RECORDS.set_function(count)
