"""What dnsd asks of etcd: clients look the new master up meanwhile, and etcd's time is theirs."""

from tests.dnsd.conftest import StartDnsd, Way

# the sources; the master's record ahead of the publication, and once that is announced; the rest
ORDER = [
    "GET /redis-1",
    "PUT /redis-1/master",
    "PUT /config/redis-1/publication",
    "PUT /redis-1/master",
    "GET /redis-1/_tcp/_redis",
    "GET /redis-1/_tcp/_redis-slaves",
    "GET /redis-1/slaves",
    "GET /config/redis-1/publication",
    "PUT /redis-1/_tcp/_redis-master",
    "PUT /redis-1/_tcp/_redis-slaves/core-01",
    "PUT /redis-1/slaves/core-01",
    "DELETE /redis-1/_tcp/_redis-slaves/core-02?prevIndex",
    "DELETE /redis-1/slaves/core-02?prevIndex",
]


def test_a_switch_costs_etcd_no_more_than_it_must(way: Way, start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(**way.env)
    assert dnsd.put("core-01", "core-02", "core-03")[0] == 200
    way.requests.clear()
    assert dnsd.put("core-02", "core-01", "core-03")[0] == 200
    assert way.requests[:4] == ORDER[:4]
    assert sorted(way.requests) == sorted(ORDER)
