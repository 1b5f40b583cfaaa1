"""Two dnsds for one domain: once the newer topology is published, the older one's master is never back."""

import json
import threading
import time
from collections.abc import Iterator
from itertools import groupby
from random import Random

import pytest

from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from sandbox.web import LOOPBACK, request
from tests.dnsd.conftest import DOMAIN, Dnsd, StartDnsd
from tests.dnsd.history import History
from tests.dnsd.late import LateProxy

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 20))]
BRIEF = {"TTL": "5", "TTL_REFRESH": "0.05"}


@pytest.fixture
def way(etcd: EtcdServer) -> Iterator[LateProxy]:
    """The first dnsd's way to etcd."""
    proxy = LateProxy(etcd.port)
    yield proxy
    proxy.deliver()
    proxy.cut()


def host(number: int) -> str:
    return f'"host":"10.0.0.{number}"'


def since_now(dnsd: Dnsd) -> History:
    """The master's history from what is published now."""
    return History(dnsd.etcd, f"{DOMAIN}/master", dnsd.index("master"))


def never_back(history: History, number: int) -> None:
    values = history.read()
    assert values, "nothing was written"
    assert not [value for value in values if value and host(number) in value]


def refreshed(dnsd: Dnsd, times: int = 3) -> None:
    """Wait until the master's record has been written again that often."""
    indexes = {dnsd.index("master")}

    def often() -> bool:
        indexes.add(dnsd.index("master"))
        return len(indexes) > times

    wait_until(often, f"the master is written {times} times more", timeout=20)


def test_the_one_that_was_not_asked_takes_over_what_the_other_publishes(start_dnsd: StartDnsd) -> None:
    first, second = start_dnsd(**BRIEF, log="first"), start_dnsd(**BRIEF, log="second")
    first.put("core-01", "core-02")
    second.put("core-02", "core-03")
    history = since_now(second)
    first.logs("takes over what another dnsd has published")
    second.kill()
    refreshed(first)
    never_back(history, 1)
    assert set(first.published()) == {"master", "slaves/core-03"}


@pytest.mark.parametrize("seed", SEEDS)
def test_one_that_was_stopped_at_any_moment_brings_no_old_master_back(start_dnsd: StartDnsd, seed: int) -> None:
    random = Random(seed)
    first, second = start_dnsd(**BRIEF, log="first"), start_dnsd(**BRIEF, log="second")
    for number in range(8):
        old, new = (1, 2) if number % 2 else (2, 1)
        assert first.put(f"core-0{old}", f"core-0{new}")[0] in {200, 503}
        time.sleep(random.uniform(0, 0.06))  # somewhere in its round of refreshing
        first.pause()
        assert second.put(f"core-0{new}", f"core-0{old}")[0] == 200
        history = since_now(second)
        first.resume()
        refreshed(second)
        never_back(history, old)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_that_was_stopped_in_a_put_brings_no_old_master_back(start_dnsd: StartDnsd, seed: int) -> None:
    random = Random(seed)
    first, second = start_dnsd(**BRIEF, log="first"), start_dnsd(**BRIEF, log="second")
    first.put_version(1, "core-01")
    for number in range(2, 18, 2):
        answers: list[tuple[int, str]] = []
        put = threading.Thread(target=lambda at=number, to=answers: to.append(first.put_version(at, "core-01")))
        put.start()
        time.sleep(random.uniform(0, 0.02))
        first.pause()
        assert second.put_version(number + 1, "core-02", "core-01")[0] == 200
        history = since_now(second)
        first.resume()
        put.join()
        assert answers[0][0] in {200, 409, 503}
        refreshed(second)
        never_back(history, 1)


def deletions(etcd: EtcdServer) -> int:
    """How many requests to delete a key etcd has got, whatever came of them."""
    stats = json.loads(request((LOOPBACK, etcd.port), "GET", "/v2/stats/store").body)
    return sum(count for name, count in stats.items() if name.lower().startswith(("delete", "compareanddelete")))


CREATE = b"prevExist=false"
WRITE = b"ttl=5&prevIndex="  # of a record: the publication has no TTL


@pytest.mark.parametrize(
    ("write", "gone"), [(WRITE, "kept"), (WRITE, "removed"), (CREATE, "removed")], ids=["refresh", "rewrite", "create"]
)
def test_a_write_that_etcd_gets_late_brings_no_old_master_back(
    etcd: EtcdServer, way: LateProxy, start_dnsd: StartDnsd, write: bytes, gone: str
) -> None:
    first = start_dnsd(**BRIEF, log="first", ETCD_PEERS=f"http://127.0.0.1:{way.port}", ETCD_TIMEOUT="1")
    second = start_dnsd(TTL="60", TTL_REFRESH="50", log="second")
    first.put("core-01")
    way.hold(write)
    if gone == "removed":
        etcd.keys.delete(f"{DOMAIN}/master")
    wait_until(lambda: way.held >= 1, "a write of the first is held back")
    assert second.put("core-02")[0] == 200
    history = since_now(second)
    # the worst moment for a write that is delivered late: the record is gone, as after an outage of the second
    etcd.keys.delete(f"{DOMAIN}/master")
    way.deliver()
    first.logs("takes over what another dnsd has published")
    refreshed(first)
    never_back(history, 1)


def test_a_dnsd_without_its_etcd_refreshes_nothing_when_it_is_back(way: LateProxy, start_dnsd: StartDnsd) -> None:
    first = start_dnsd(**BRIEF, log="first", ETCD_PEERS=f"http://127.0.0.1:{way.port}", ETCD_TIMEOUT="1")
    second = start_dnsd(**BRIEF, log="second")
    first.put("core-01", "core-02")
    way.cut()
    assert second.put("core-02", "core-01")[0] == 200
    history = since_now(second)
    first.logs("failed to refresh")
    way.heal()
    first.logs("takes over what another dnsd has published")
    refreshed(second)
    never_back(history, 1)


def test_a_slaves_record_that_a_late_write_brings_back_is_removed(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(**BRIEF)
    dnsd.put("core-01", "core-02")
    dnsd.etcd.keys.put(f"{DOMAIN}/slaves/core-03", '{"host":"10.0.0.3","port":49153}')
    wait_until(lambda: "slaves/core-03" not in dnsd.published(), "it is removed")
    assert set(dnsd.published()) == {"master", "slaves/core-02"}


def test_a_record_that_somebody_overwrote_is_put_right(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(**BRIEF)
    dnsd.put("core-01", "core-02")
    for name in ("master", "slaves/core-02"):
        dnsd.etcd.keys.put(f"{DOMAIN}/{name}", '{"host":"10.9.9.9","port":1}')
    wait_until(lambda: "10.9.9.9" not in str(dnsd.published()), "the records are as published")
    assert dnsd.published()["master"]["host"] == "10.0.0.1"


def test_one_that_refuses_an_outdated_put_goes_on_with_the_newer_publication(start_dnsd: StartDnsd) -> None:
    first = start_dnsd(TTL="5", TTL_REFRESH="0.5", log="first")
    second = start_dnsd(TTL="5", TTL_REFRESH="4", log="second")
    first.put_version(1, "core-01", "core-02", "core-03")
    assert second.put_version(3, "core-02", "core-01")[0] == 200
    history = since_now(second)
    assert first.put_version(2, "core-01", "core-02", "core-03")[0] == 409
    second.kill()
    expected = {"master", "slaves/core-01"}
    until = time.monotonic() + 8  # longer than a record lives without a refresh
    while time.monotonic() < until:
        assert set(first.published()) - {"slaves/core-02", "slaves/core-03"} == expected
        time.sleep(0.05)
    assert set(first.published()) == expected
    never_back(history, 1)
    assert "KeyError" not in first.process.log.read_text()


def test_one_that_failed_to_publish_the_newest_puts_none_older_in_the_others_place(start_dnsd: StartDnsd) -> None:
    first = start_dnsd(TTL="5", TTL_REFRESH="1", log="first")
    second = start_dnsd(TTL="5", TTL_REFRESH="0.5", log="second")
    assert first.put_version(1, "core-01", "core-02")[0] == 200
    assert second.put_version(2, "core-02", "core-01")[0] == 200
    history = since_now(second)
    status, line = first.put_version(3, "core-09")
    assert (status, line.partition(":")[0]) == (503, "NoRecord")
    first.logs("takes over what another dnsd has published")
    refreshed(second)
    never_back(history, 1)
    assert first.put_version(2, "core-02", "core-01")[0] == 409, "it still knows of the newest"


@pytest.mark.parametrize("earlier", ["first", "second"])
def test_a_removal_that_etcd_gets_late_removes_nothing_that_is_published_again(
    etcd: EtcdServer, way: LateProxy, start_dnsd: StartDnsd, earlier: str
) -> None:
    first = start_dnsd(**BRIEF, log="first", ETCD_PEERS=f"http://127.0.0.1:{way.port}", ETCD_TIMEOUT="0.5")
    second = start_dnsd(TTL="60", TTL_REFRESH="50", log="second")
    (first if earlier == "first" else second).put("core-01", "core-02", "core-03")
    way.hold(b"DELETE")
    assert first.put("core-01", "core-02")[0] == 503
    assert second.put("core-01", "core-02", "core-03") == (200, "OK\n")
    before = deletions(etcd)
    way.deliver()
    wait_until(lambda: deletions(etcd) >= before + way.held, "etcd has got what was held back")
    assert set(second.published()) == {"master", "slaves/core-02", "slaves/core-03"}


def test_what_was_published_last_stands_after_a_restart_though_another_died_in_a_put(
    way: LateProxy, start_dnsd: StartDnsd
) -> None:
    brief = {"TTL": "5", "TTL_REFRESH": "0.5"}
    first = start_dnsd(**BRIEF, log="first", ETCD_PEERS=f"http://127.0.0.1:{way.port}", ETCD_TIMEOUT="0.5")
    second = start_dnsd(**brief, log="second")
    assert second.put("core-01", "core-02")[0] == 200
    history = since_now(second)
    way.hold(WRITE)  # not the publication, which comes before
    assert first.put("core-02", "core-01")[0] == 503
    first.kill()
    way.cut()
    assert second.put("core-01", "core-02") == (200, "OK\n")
    second.kill()
    second.start()
    refreshed(second)
    never_back(history, 2)


def announces_late(way: LateProxy, first: Dnsd, put: threading.Thread) -> History:
    """Holds the first's publication back, and waits until its master, core-02, is in DNS ahead of that."""
    history = since_now(first)
    way.hold(b"/publication")
    put.start()
    wait_until(lambda: way.held == 1, "the publication is held back")
    assert first.published()["master"]["host"] == "10.0.0.2"
    return history


@pytest.fixture
def pair(way: LateProxy, start_dnsd: StartDnsd) -> tuple[Dnsd, Dnsd]:
    """Two that have published core-01, the first last; the second refreshes all the time, the first hardly ever."""
    second = start_dnsd(TTL="60", TTL_REFRESH="0.05", log="second")
    first = start_dnsd(TTL="60", TTL_REFRESH="50", log="first", ETCD_PEERS=f"http://127.0.0.1:{way.port}")
    assert second.put_version(1, "core-01", "core-02") == (200, "OK\n")
    second.pause()
    # what the second had on its way may come before it
    wait_until(lambda: first.put_version(1, "core-01", "core-02") == (200, "OK\n"), "the first has published it")
    return first, second


def test_a_master_that_another_overwrites_before_it_is_announced_is_put_right_at_once(
    way: LateProxy, pair: tuple[Dnsd, Dnsd]
) -> None:
    first, second = pair
    put = threading.Thread(target=lambda: first.put_version(2, "core-02", "core-01"))
    history = announces_late(way, first, put)
    second.resume()
    wait_until(lambda: second.published()["master"]["host"] == "10.0.0.1", "the second has put its own back")
    way.deliver()
    put.join()
    assert second.published()["master"]["host"] == "10.0.0.2"
    second.logs("takes over what another dnsd has published")
    refreshed(second)
    hosts = [json.loads(value)["host"] for value in history.read() if value]
    assert [name for name, _ in groupby(hosts)] == ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2"]


def test_a_master_that_was_written_ahead_goes_where_a_newer_one_is_announced_meanwhile(
    way: LateProxy, pair: tuple[Dnsd, Dnsd]
) -> None:
    first, second = pair
    answers: list[tuple[int, str]] = []
    put = threading.Thread(target=lambda: answers.append(first.put_version(2, "core-02", "core-01")))
    announces_late(way, first, put)
    second.resume()
    assert second.put_version(3, "core-03", "core-01") == (200, "OK\n")
    history = since_now(second)
    way.deliver()
    put.join()
    assert answers[0][0] == 409
    refreshed(second)
    never_back(history, 2)
    never_back(history, 1)


def test_a_newer_one_that_is_announced_and_not_written_takes_the_place_of_what_was_written_ahead(
    etcd: EtcdServer, way: LateProxy, pair: tuple[Dnsd, Dnsd]
) -> None:
    first, second = pair
    second.kill()
    key = "/config/redis-1/publication"
    newer = json.loads(etcd.keys.get(key) or "")
    newer["version"]["index"] = 3
    answers: list[tuple[int, str]] = []
    put = threading.Thread(target=lambda: answers.append(first.put_version(2, "core-02", "core-01")))
    announces_late(way, first, put)
    # what one has announced that died before it wrote the record
    etcd.keys.put(key, json.dumps(newer).replace("10.0.0.1", "10.0.0.3"))
    way.deliver()
    put.join()
    assert answers[0][0] == 409
    wait_until(lambda: first.published()["master"]["host"] == "10.0.0.3", "the newer one's master is in DNS")


def test_a_master_that_was_written_ahead_stays_until_the_put_is_repeated(
    way: LateProxy, pair: tuple[Dnsd, Dnsd]
) -> None:
    first, second = pair
    second.kill()
    answers: list[tuple[int, str]] = []
    put = threading.Thread(target=lambda: answers.append(first.put_version(2, "core-02", "core-01")))
    history = announces_late(way, first, put)
    way.cut()
    put.join()
    assert answers[0][0] == 503
    way.heal()
    way.deliver()
    assert first.put_version(2, "core-02", "core-01") == (200, "OK\n")
    never_back(history, 3)
    assert [value for value in history.values if value and host(1) in value] == history.values[:1]
    assert first.published()["master"]["host"] == "10.0.0.2"


@pytest.mark.parametrize("repeated", [True, False])
def test_what_was_written_ahead_stays_after_a_restart_for_as_long_as_the_put_may_be_repeated(
    way: LateProxy, pair: tuple[Dnsd, Dnsd], *, repeated: bool
) -> None:
    first, second = pair
    second.kill()
    put = threading.Thread(target=lambda: first.put_version(2, "core-02", "core-01"))
    announces_late(way, first, put)
    way.cut()
    put.join()
    first.kill()
    way.heal()
    way.deliver()
    history = since_now(first)
    if not repeated:
        first.process.env["TTL_REFRESH"] = "1"
    first.start()
    first.logs("found another master")
    if repeated:
        time.sleep(6)  # the observer's longest pause, RETRY_MAX, and a run
        assert first.put_version(2, "core-02", "core-01") == (200, "OK\n")
        never_back(history, 1)
    else:
        wait_until(lambda: first.published()["master"]["host"] == "10.0.0.1", "what was announced is in DNS", 20)
