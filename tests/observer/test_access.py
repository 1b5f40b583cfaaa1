"""The observer shows its token and its certificate, and talks to nobody whose certificate isn't right."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from sandbox.skydns import SkyDns
from tests.certificates import Authority, Certificate
from tests.observer.conftest import Config, Receiver, Reply, StartObserver
from tests.observer.test_early import EARLY
from tests.observer.test_held import TARGET, steps
from tests.observer.test_srv import register

NAME = "redis-1-dictator.docker"
StartReceiver = Callable[[Certificate, str], Receiver]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def start_receiver() -> Iterator[StartReceiver]:
    """Starts a receiver with this certificate that asks clients for one of this CA."""
    receivers = []

    def start(own: Certificate, client_ca: str) -> Receiver:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(own.cert, own.key)
        receiver = Receiver(context)
        receivers.append(receiver)
        receiver.start()
        return receiver

    yield start
    for receiver in receivers:
        receiver.stop()


def by_https(authority: Authority) -> dict[str, str]:
    """Settings with a certificate of its own, for receivers of the same CA."""
    own = authority.issue("observer")
    return {"NOTIFY_CA_FILE": authority.ca, "NOTIFY_CERT_FILE": own.cert, "NOTIFY_KEY_FILE": own.key}


def test_sends_the_token(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("correct-horse\n")
    config.define("a")
    observer = start_observer(TOKEN_FILE=str(tmp_path / "token"))
    dnsd.got(1)
    assert dictator.puts[0].headers["Authorization"] == "Bearer correct-horse"
    assert dnsd.puts[0].headers["Authorization"] == "Bearer correct-horse"
    assert "correct-horse" not in observer.log.read_text()


def test_sends_none_where_it_has_none(config: Config, dictator: Receiver, start_observer: StartObserver) -> None:
    config.define("a")
    start_observer()
    assert "Authorization" not in dictator.got(1)[0].headers


def test_puts_by_https_to_the_name_in_the_url(
    etcd: EtcdServer,
    skydns: SkyDns,
    config: Config,
    authority: Authority,
    start_receiver: StartReceiver,
    start_observer: StartObserver,
) -> None:
    receiver = start_receiver(authority.issue(NAME, "10.9.9.9"), authority.ca)
    register(etcd, "redis-1-dictator", receiver)
    config.define("a")
    start_observer(
        NOTIFIES=f"https://{NAME}/master",
        DNS="127.0.0.1",
        DNS_PORT=str(skydns.port),
        **by_https(authority),
    )
    receiver.got(1, timeout=20)


def test_holds_a_put_by_https_too(
    config: Config,
    authority: Authority,
    dictator: Receiver,
    start_receiver: StartReceiver,
    start_observer: StartObserver,
) -> None:
    dnsd = start_receiver(authority.issue("server"), authority.ca)
    text = config.define("a")
    dictator.will_reply(Reply(200, early=steps(TARGET, dnsd.holds, EARLY, dnsd.got)))
    observer = start_observer(
        NOTIFIES=f"{dictator.url()},https://127.0.0.1:{dnsd.port}/dns",
        **by_https(authority),
    )
    observer.says("every receiver answered 200")
    assert [(put.body, put.headers["Topology-Held"]) for put in dnsd.puts] == [(text, "1")]
    assert len(dictator.puts) == 1


@pytest.mark.parametrize("what", ["another_ca", "expired", "another_name", "no_tls"])
def test_sends_nothing_to_a_receiver_without_a_right_certificate(
    config: Config,
    authority: Authority,
    start_receiver: StartReceiver,
    start_observer: StartObserver,
    dictator: Receiver,
    tmp_path: Path,
    what: str,
) -> None:
    if what == "no_tls":
        receiver = dictator
    elif what == "another_ca":
        receiver = start_receiver(Authority(tmp_path / "strangers").issue("stranger"), authority.ca)
    else:
        address = "10.9.9.9" if what == "another_name" else "127.0.0.1"
        receiver = start_receiver(authority.issue("server", address, expired=what == "expired"), authority.ca)
    config.define("a")
    observer = start_observer(
        NOTIFIES=f"https://127.0.0.1:{receiver.port}/master",
        **by_https(authority),
    )
    config.trigger("force")
    observer.says("can't be connected to", 3)
    assert receiver.puts == []


def test_a_receiver_that_wants_a_certificate_and_gets_none_gets_no_topology(
    config: Config, authority: Authority, start_receiver: StartReceiver, start_observer: StartObserver
) -> None:
    receiver = start_receiver(authority.issue("server"), authority.ca)
    config.define("a")
    observer = start_observer(NOTIFIES=f"https://127.0.0.1:{receiver.port}/master", NOTIFY_CA_FILE=authority.ca)
    observer.says("failed: No", 2)
    assert receiver.puts == []


def test_a_force_outlives_a_token_that_cannot_be_read(
    config: Config, dictator: Receiver, dnsd: Receiver, start_observer: StartObserver, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    config.define("a")
    observer = start_observer(TOKEN_FILE=str(token))
    dnsd.got(1)
    token.unlink()
    config.trigger("force")
    observer.says("TOKEN_FILE=", 2)
    token.write_text("new\n")
    dnsd.got(2)
    assert [put.target for put in dictator.puts] == ["/master", "/master?force=1"]
    assert dictator.puts[1].headers["Authorization"] == "Bearer new"


def test_a_token_that_no_header_can_carry_stops_the_start(start_observer: StartObserver) -> None:
    observer = start_observer(wait=False, TOKEN="hör-zu")
    wait_until(lambda: observer.returncode == 2, "the observer has ended")
    assert "TOKEN holds a blank" in observer.log.read_text()
    assert "hör" not in observer.log.read_text()
