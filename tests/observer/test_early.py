"""A receiver says early that the master serves: the next one is notified at once, and every answer counts as before."""

from collections.abc import Callable, Iterable, Iterator

import pytest

from sandbox.etcd import EtcdServer
from tests.observer.conftest import Config, Observer, Receiver, Reply, StartObserver
from tests.observer.test_answers import dripping
from tests.observer.test_status import status, wait_for_state

CHAINED = "/config/redis-1/chained-trigger"
HINT = "103 Early Hints\r\nTopology-Master: a"
EARLY = f"HTTP/1.1 {HINT}\r\n\r\n".encode()
HINTED = Reply(200, early=[EARLY])
ONCE = {"RETRY_FIRST": "3600", "RETRY_MAX": "3600"}
APPLIED = "every receiver answered 200"
OUTCOMES = {"200 OK": APPLIED, "202 Accepted": "still open", "409 Conflict": "refused it", "503 No": "receiver failed"}

# the line after it lies across the end of the observer's buffer
FILLING = EARLY.replace(b"Master: a", b"Master: ".ljust(8150, b"a"))
Cut = Callable[[bytes], Iterable[bytes]]
CUTS: dict[str, Cut] = {
    "one packet": lambda final: [EARLY + final],
    "many in one packet": lambda final: [EARLY * 300 + final],
    "byte by byte": lambda final: (bytes([byte]) for byte in EARLY * 2 + final),
    "across the buffer": lambda final: [FILLING + final],
    "with a length": lambda final: [EARLY.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n") + final],
}


@pytest.fixture(autouse=True)
def text(config: Config) -> str:
    return config.define("a")


def hints(receiver: Receiver, at_once: int) -> Iterator[bytes]:
    """As many at once, and one more when the receiver may go on."""
    yield EARLY * at_once
    receiver.go_on.wait(60)
    yield EARLY


def notified(receiver: Receiver) -> str:
    """What the observer logs when the receiver has answered."""
    return f"notified http://127.0.0.1:{receiver.port}/"


def log_before(observer: Observer, text: str) -> str:
    """What the observer had logged when it logged the text for the first time."""
    return observer.log.read_text().partition(text)[0]


def repeats(*receivers: Receiver) -> list[list[bool]]:
    """Of each receiver's PUTs, whether they were repetitions."""
    return [["Topology-Repeat" in put.headers for put in receiver.puts] for receiver in receivers]


def test_dnsd_is_notified_once_while_the_dictator_works(
    etcd: EtcdServer, text: str, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    # the last comes when dnsd has answered already
    dictator.will_reply(Reply(200, early=hints(dictator, 3)))
    dictator.go_on.clear()
    observer = start_observer(RETRIGGER=CHAINED)
    observer.says(notified(dnsd))
    assert (observer.count(notified(dictator)), observer.count("ended the run")) == (0, 0)
    assert etcd.keys.get(CHAINED) is None
    dictator.go_on.set()
    # dnsd has answered first, and is named after the dictator
    named = wait_for_state(etcd, "applied")["receivers"]
    assert [receiver["url"] for receiver in named] == [dictator.url(), dnsd.url("/dns")]
    assert notified(dictator) in log_before(observer, "wrote 'start'")
    assert [(put.body, put.headers["Topology-Early"]) for put in (*dictator.puts, *dnsd.puts)] == [(text, "1")] * 2
    assert dictator.puts[0].version == dnsd.puts[0].version


def test_dnsd_gets_nothing_without_a_hint(dictator: Receiver, dnsd: Receiver, start_observer: StartObserver) -> None:
    for reply in (Reply(200), Reply(200), HINTED):
        dictator.will_reply(reply)
    dictator.go_on.clear()
    # the observer's own deadline is the clock: two go by without a hint, and only then dnsd gets its first PUT
    observer = start_observer(NOTIFY_TIMEOUT="1")
    observer.says(notified(dnsd))
    assert log_before(observer, notified(dnsd)).count("gave no answer within") == 2


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("line", OUTCOMES)
def test_the_final_status_counts_however_it_arrives(
    dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, line: str, cut: Cut
) -> None:
    dictator.will_reply(Reply(0, early=cut(f"HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n".encode())))
    observer = start_observer(**ONCE)
    observer.says(OUTCOMES[line])
    assert f"{line} (" in observer.log.read_text().partition(notified(dictator))[2].splitlines()[0]
    assert (len(dictator.puts), len(dnsd.puts)) == (1, 1)


@pytest.mark.parametrize("answer", [(503, "x"), (302, "x"), (409, "Outdated: x"), (0, "")], ids=str)
def test_a_failure_after_the_hint_repeats_the_run(
    etcd: EtcdServer, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, answer: tuple[int, str]
) -> None:
    dictator.will_reply(Reply(*answer, early=[EARLY]))
    dictator.go_on.clear()
    observer = start_observer()
    observer.says(notified(dnsd))
    # holds up the repetition, so that the state is still that of the first run
    dnsd.go_on.clear()
    dictator.go_on.set()
    failed = wait_for_state(etcd, "failed")
    assert [receiver["status"] for receiver in failed["receivers"]] == ([answer[0]] if answer[0] else [])
    dnsd.go_on.set()
    applied = wait_for_state(etcd, "applied")
    assert [receiver["url"] for receiver in applied["receivers"]] == [dictator.url(), dnsd.url("/dns")]
    assert repeats(dictator, dnsd) == [[False, True]] * 2
    assert [put.headers["Topology-Early"] for put in (*dictator.puts, *dnsd.puts)] == ["1"] * 4


@pytest.mark.parametrize("refusal", [400, 409])
def test_a_refusal_after_the_hint_is_not_repeated(
    etcd: EtcdServer, config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, refusal: int
) -> None:
    dictator.will_reply(Reply(refusal, early=[EARLY]))
    # a repetition would come before any trigger can
    observer = start_observer(RETRY_FIRST="0.001", RETRY_MAX="0.001", RETRIGGER=CHAINED)
    assert wait_for_state(etcd, "refused")["receivers"][0]["status"] == refusal
    assert (len(dnsd.puts), etcd.keys.get(CHAINED)) == (1, None)
    config.trigger()
    observer.says(APPLIED)
    assert repeats(dictator, dnsd) == [[False, False]] * 2


@pytest.mark.parametrize("answer", [503, 0])
def test_no_run_begins_before_dnsd_has_done_with_the_last(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, answer: int
) -> None:
    dictator.will_reply(Reply(answer, early=[EARLY]))
    dnsd.go_on.clear()
    # the observer's own deadline is the clock: many a repetition would fit into it
    observer = start_observer(NOTIFY_TIMEOUT="2", RETRY_FIRST="0.01", RETRY_MAX="0.01")
    dnsd.got(1)
    config.define("b")
    config.trigger()
    observer.says("failed to notify early")
    dnsd.go_on.set()
    observer.says(APPLIED)
    meanwhile = log_before(observer, "failed to notify early")
    assert [line in meanwhile for line in ("saw trigger", notified(dictator), "ended the run")] == [True, False, False]
    assert [put.name for put in dictator.puts] == ["a", "b"]


@pytest.mark.parametrize("answer", [503, 0])
def test_a_dnsd_that_fails_early_fails_the_run(
    etcd: EtcdServer, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, answer: int
) -> None:
    dictator.will_reply(HINTED)
    dictator.go_on.clear()
    dnsd.will_answer(answer)
    observer = start_observer(RETRIGGER=CHAINED)
    dnsd.got(1)
    assert status(etcd) == {}
    dictator.go_on.set()
    observer.says("wrote 'start'")
    assert ("a receiver failed" if answer else "failed: NoAnswer: ") in log_before(observer, "wrote 'start'")
    assert repeats(dictator, dnsd) == [[False, True]] * 2


@pytest.mark.parametrize("head", [HINT, "103 Early Hints\r\nLink: x", "102 Processing", "100 Continue"])
def test_interim_answers_without_end_are_given_up(
    dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, head: str
) -> None:
    dictator.will_reply(Reply(0, early=dripping(b"", f"HTTP/1.1 {head}\r\n\r\n".encode())))
    observer = start_observer(NOTIFY_TIMEOUT="0.5", **ONCE)
    observer.says(f"failed: NoAnswer: {dictator.url()}")
    assert (len(dictator.puts), len(dnsd.puts)) == (1, 1 if head == HINT else 0)


@pytest.mark.parametrize("answer", [503, 202, 0])
def test_force_goes_to_both_once(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, answer: int
) -> None:
    observer = start_observer()
    observer.says(APPLIED)
    dictator.will_reply(Reply(answer, early=[EARLY]))
    config.trigger("force")
    observer.says(APPLIED, 2)
    assert [put.target for put in dictator.puts] == ["/master", "/master?force=1", "/master"]
    assert [put.target for put in dnsd.puts] == ["/dns", "/dns?force=1", "/dns"]


def test_force_goes_to_the_dictator_once_though_dnsd_is_down(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    observer = start_observer()
    observer.says(APPLIED)
    dnsd.stop()
    dictator.will_reply(HINTED)
    config.trigger("force")
    dictator.got(3)
    dnsd.start()
    observer.says(APPLIED, 2)
    assert [put.target for put in dictator.puts[:3]] == ["/master", "/master?force=1", "/master"]
    assert dnsd.puts[-1].target == "/dns"


def test_the_time_that_dnsd_takes_is_not_the_dictators(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver
) -> None:
    # dnsd uses up the observer's deadline, and the dictator answers after that
    dictator.will_reply(Reply(503, early=[EARLY]))
    dnsd.will_reply(Reply(200, early=dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n")))
    observer = start_observer(NOTIFY_TIMEOUT="0.5", **ONCE)
    observer.says("ended the run")
    assert f"failed to notify early: {dnsd.url('/dns')}" in log_before(observer, notified(dictator))
    assert observer.count(": 503 OK (") == 1


@pytest.mark.parametrize("answer", [200, 202, 503, 0])
def test_a_hint_of_the_last_receiver_changes_nothing(
    dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, answer: int
) -> None:
    dnsd.will_reply(Reply(answer, early=[EARLY] * 3))
    observer = start_observer()
    observer.says(APPLIED)
    assert repeats(dictator, dnsd) == [[False] if answer == 200 else [False, True]] * 2
    assert observer.count("Traceback") == 0


def test_one_that_was_notified_early_may_have_the_next_one_notified(
    dictator: Receiver, dnsd: Receiver, third: Receiver, start_observer: StartObserver
) -> None:
    dictator.will_reply(Reply(503, early=[EARLY]))
    dnsd.will_reply(Reply(200, early=hints(dnsd, 0)))
    dnsd.go_on.clear()
    third.go_on.clear()
    observer = start_observer(NOTIFIES=f"{dictator.url()},{dnsd.url()},{third.url()}", **ONCE)
    dnsd.got(1)
    assert not third.puts
    dnsd.go_on.set()
    third.got(1)
    assert [observer.count(notified(receiver)) for receiver in (dictator, dnsd)] == [0, 0]
    third.go_on.set()
    observer.says("ended the run")
    assert [observer.count(notified(receiver)) for receiver in (dictator, dnsd, third)] == [1, 1, 1]


@pytest.mark.parametrize("answered", [False, True])
def test_sigterm_ends_it_between_the_hint_and_the_answer(
    dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, *, answered: bool
) -> None:
    dictator.will_reply(HINTED)
    dictator.go_on.clear()
    if not answered:
        dnsd.go_on.clear()
    observer = start_observer()
    dnsd.got(1)
    if answered:
        observer.says(notified(dnsd))
    observer.stop(timeout=5)
    assert (observer.returncode, observer.count("Traceback")) == (0, 0)
