"""What stands at the publication's key is taken over only where dnsd could have written it."""

import json

import pytest

from sandbox.process import wait_until
from tests.dnsd.conftest import DOMAIN, StartDnsd

BRIEF = {"TTL": "5", "TTL_REFRESH": "0.2"}
PUBLICATION = "/config/redis-1/publication"
TOPOLOGY = "/config/redis-1/topology"
GOOD = '{"host":"10.0.0.9","port":9}'
RECORDS = {"master": {"host": "10.0.0.1", "port": 49151}, "slaves/core-02": {"host": "10.0.0.2", "port": 49152}}


@pytest.mark.parametrize(
    "records",
    [
        {f"{DOMAIN}/master": GOOD, TOPOLOGY: GOOD},
        {f"{DOMAIN}/master": GOOD, f"{DOMAIN}/core-01": GOOD},
        {f"{DOMAIN}/master": GOOD, f"{DOMAIN}/slaves/a/b": GOOD},
        {f"{DOMAIN}/master": GOOD, "/skydns/docker/redis-2/master": GOOD},
        {f"{DOMAIN}/master": GOOD, f"{DOMAIN}/slaves/core-09": "{"},
        {},
    ],
    ids=["settings", "source", "deeper", "foreign", "malformed", "empty"],
)
def test_a_publication_that_is_not_dnsds_own_is_written_over(start_dnsd: StartDnsd, records: dict[str, str]) -> None:
    dnsd = start_dnsd(**BRIEF)
    dnsd.put("core-01", "core-02")
    dnsd.etcd.keys.put(TOPOLOGY, "the operator's")
    dnsd.etcd.keys.put(PUBLICATION, json.dumps({"records": records}))
    dnsd.etcd.keys.delete(f"{DOMAIN}/master")
    wait_until(lambda: dnsd.published() == RECORDS, "the records are as published", timeout=8)
    assert f"{DOMAIN}/master" in json.loads(dnsd.etcd.keys.get(PUBLICATION) or "")["records"]
    assert dnsd.etcd.keys.get(TOPOLOGY) == "the operator's"


def test_two_domains_whose_first_labels_are_the_same_do_not_publish_each_others_records(start_dnsd: StartDnsd) -> None:
    first = start_dnsd(**BRIEF, log="first")
    second = start_dnsd(**BRIEF, log="second", PUBLISH_DOMAIN="redis-1.test")
    assert first.put("core-01", "core-02")[0] == 200
    assert second.put({"address": "10.0.0.3"})[0] == 200
    first.etcd.keys.delete(f"{DOMAIN}/master")
    wait_until(lambda: first.published() == RECORDS, "the first's records are as published")
    second.kill()
    wait_until(lambda: first.etcd.keys.get("/skydns/test/redis-1/master") is None, "nobody refreshes the second's")
    assert first.published() == RECORDS
