"""A receiver says early that its master is about to change: the next one gets its PUT but for the last byte."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from safe_redis.topology import MAX_BYTES
from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from sandbox.proxy import Proxy
from tests.observer.conftest import TOPOLOGY, Config, Observer, Receiver, Reply, StartObserver
from tests.observer.test_answers import Answering
from tests.observer.test_early import APPLIED, EARLY, ONCE

TARGET = EARLY.replace(b"Master", b"Target")
# for how long the observer holds a PUT, and a little more, in seconds
TOO_LONG = 5.1
Step = bytes | Callable[[], object]


@pytest.fixture(autouse=True)
def text(config: Config) -> str:
    return config.define("a")


def steps(*order: Step) -> Iterator[bytes]:
    """The pieces that a receiver sends, and what is done in between."""
    for step in order:
        if isinstance(step, bytes):
            yield step
        else:
            step()


def held(receiver: Receiver) -> list[bool]:
    """Of the PUTs that it got, whether they were held."""
    return ["Topology-Held" in put.headers for put in receiver.puts]


def test_dnsd_gets_the_last_byte_when_the_master_serves(
    text: str, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    meanwhile: list[int] = []

    def note() -> None:
        meanwhile.append(len(dnsd.puts))

    dictator.will_reply(Reply(200, early=steps(TARGET, dnsd.holds, note, EARLY, dnsd.got)))
    observer = start_observer(RETRIGGER="/config/redis-1/chained-trigger")
    observer.says(APPLIED)
    assert (meanwhile, dnsd.begun, dnsd.reset) == ([0], 1, 0)
    (put,) = dnsd.puts
    assert (put.target, put.body, put.headers["Topology-Held"]) == ("/dns", text, "1")
    assert put.version == dictator.puts[0].version
    assert held(dictator) == [False]


@pytest.mark.parametrize("status", [200, 202])
def test_dnsd_gets_it_after_the_answer_if_nothing_was_said_before(
    dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, status: int
) -> None:
    dictator.will_reply(Reply(status, early=steps(TARGET, dnsd.holds)))
    observer = start_observer(**ONCE)
    observer.says("ended the run")
    assert (held(dnsd), dnsd.begun) == ([True], 1)


@pytest.mark.parametrize("status", [503, 409, 302, 0])
def test_nothing_is_completed_after_a_failure(
    dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, status: int
) -> None:
    dictator.will_reply(Reply(status, early=steps(TARGET, dnsd.holds)))
    start_observer(**ONCE)
    wait_until(lambda: dnsd.reset == 1, "dnsd's connection is reset", 10)
    assert (dnsd.puts, dnsd.begun) == ([], 1)


@pytest.mark.parametrize("end", [Observer.kill, Observer.stop], ids=["kill", "stop"])
def test_nothing_is_completed_when_the_observer_ends(
    dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, end: Callable[[Observer], None]
) -> None:
    dictator.will_reply(Reply(200, early=[TARGET]))
    dictator.go_on.clear()
    observer = start_observer()
    dnsd.holds()
    end(observer)
    wait_until(lambda: dnsd.reset == 1, "dnsd's connection is reset", 10)
    assert dnsd.puts == []


def test_a_hint_that_is_repeated_or_late_changes_nothing(
    dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    dictator.will_reply(Reply(200, early=steps(TARGET * 3, dnsd.holds, TARGET, EARLY, dnsd.got, TARGET, TARGET)))
    dnsd.will_reply(Reply(200, early=[TARGET]))
    observer = start_observer()
    observer.says(APPLIED)
    assert (held(dnsd), dnsd.begun) == ([True], 1)


def test_all_is_sent_anew_where_the_connection_has_ended(
    text: str, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    with closing(Proxy(dnsd.port)) as way:
        dictator.will_reply(Reply(200, early=steps(TARGET, dnsd.holds, way.cut, way.heal, EARLY)))
        observer = start_observer(NOTIFIES=f"{dictator.url()},http://127.0.0.1:{way.port}/dns")
        observer.says(APPLIED)
    # the way has ended it in an orderly manner
    assert (held(dictator), held(dnsd)) == ([False], [True, False])
    assert [put.body for put in dnsd.puts] == [text[:-1], text]


def test_all_is_sent_later_where_dnsd_could_not_be_reached(
    dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    dnsd.stop()
    dictator.will_reply(Reply(200, early=steps(TARGET, dictator.go_on.wait, EARLY)))
    dictator.go_on.clear()
    observer = start_observer()
    observer.says("could not have")
    dnsd.start()
    dictator.go_on.set()
    observer.says(APPLIED)
    assert (held(dictator), held(dnsd)) == ([False], [False])


def test_what_was_held_for_long_is_sent_anew(dictator: Receiver, dnsd: Receiver, start_observer: StartObserver) -> None:
    def outlast() -> None:
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > TOO_LONG, "it was held for too long", 10)

    dictator.will_reply(Reply(200, early=steps(TARGET, dnsd.holds, outlast, EARLY)))
    observer = start_observer()
    observer.says(APPLIED)
    assert (held(dictator), held(dnsd), dnsd.begun, dnsd.reset) == ([False], [False], 2, 1)


@pytest.mark.parametrize("after", ["", "\n", " \r\n\t"], ids=["nothing", "line feed", "space"])
def test_what_is_held_back_completes_the_document(
    etcd: EtcdServer, text: str, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, after: str
) -> None:
    full = text[:-1].ljust(MAX_BYTES - 1 - len(after)) + "}"
    etcd.keys.put(TOPOLOGY, full + after)
    with closing(Proxy(dnsd.port)) as way:
        # what arrives of it when the connection ends in an orderly manner
        dictator.will_reply(Reply(200, early=steps(TARGET, dnsd.holds, way.cut, dnsd.got, way.heal)))
        observer = start_observer(NOTIFIES=f"{dictator.url()},http://127.0.0.1:{way.port}/dns")
        observer.says(APPLIED)
    assert [put.body for put in dnsd.puts] == [full[:-1], full + after]


def test_of_an_empty_document_there_is_nothing_to_hold_back(
    etcd: EtcdServer, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    etcd.keys.put(TOPOLOGY, " ")
    dictator.will_reply(Reply(200, early=[TARGET]))
    observer = start_observer()
    observer.says(APPLIED)
    assert (held(dnsd), dnsd.begun) == ([False], 1)


def test_a_refusal_that_does_not_wait_for_the_last_byte_counts(
    dictator: Receiver, start_observer: StartObserver
) -> None:
    refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    with closing(Answering(lambda: iter([refusal]))) as refusing:
        dictator.will_reply(Reply(200, early=[TARGET, EARLY]))
        observer = start_observer(NOTIFIES=f"{dictator.url()},{refusing.url}")
        observer.says("a receiver refused it")
    assert len(dictator.puts) == 1


def test_only_the_next_one_gets_ready(
    dictator: Receiver, dnsd: Receiver, third: Receiver, start_observer: StartObserver
) -> None:
    begun: list[int] = []

    def note() -> None:
        begun.append(third.begun)

    dictator.will_reply(Reply(200, early=steps(TARGET, dnsd.holds, note, EARLY, dnsd.got, note)))
    observer = start_observer(NOTIFIES=f"{dictator.url()},{dnsd.url()},{third.url()}")
    observer.says(APPLIED)
    assert (begun, held(dnsd), held(third)) == ([0, 0], [True], [False])


def test_force_goes_out_once_though_it_was_held(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    observer = start_observer()
    observer.says(APPLIED)
    dictator.will_reply(Reply(503, early=steps(TARGET, lambda: dnsd.holds(2))))
    dictator.will_reply(Reply(200, early=steps(TARGET, lambda: dnsd.holds(3), EARLY)))
    config.trigger("force")
    observer.says(APPLIED, 2)
    assert [put.target for put in dictator.puts] == ["/master", "/master?force=1", "/master"]
    assert ([put.target for put in dnsd.puts], dnsd.reset) == (["/dns", "/dns"], 1)
    assert json.loads(dnsd.puts[-1].body) == json.loads(dictator.puts[-1].body)
