"""The store on real etcds of several releases, through both APIs: values, events, errors, members, TLS."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from safe_redis.errors import SettingsError, StoreError
from safe_redis.etcd import EtcdSettings, Node, Store, connect
from sandbox import binaries
from sandbox.etcd import EtcdServer
from sandbox.process import Process, free_port, wait_until
from sandbox.proxy import Proxy

BRIEF = 0.3


class Server(EtcdServer):
    """An etcd that makes stores of its own API."""

    def store(self, *members: str, timeout: float = 8, **options: str) -> Store:
        """A store at `members`, this one if there are none."""
        settings = msgspec.convert({"etcd_api": self.api, "etcd_timeout": timeout} | options, EtcdSettings)
        return connect(members or (self.url,), settings)


@pytest.fixture(
    params=[
        "v2-3.4",
        pytest.param("v2-3.5", marks=pytest.mark.full),
        pytest.param("v3-3.4", marks=pytest.mark.full),
        pytest.param("v3-3.5", marks=pytest.mark.full),
        "v3-3.7",
    ]
)
def etcd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    api, release = request.param.split("-")
    server = Server(tmp_path / "etcd", release=release, api=api)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def store(etcd: Server) -> Store:
    return etcd.store()


def test_writes_reads_and_deletes(store: Store) -> None:
    assert store.get("/a/b") is None
    store.put("/a/b", "value")
    node = store.get("/a/b")
    assert node is not None
    assert (node.key, node.value) == ("/a/b", "value")
    assert store.delete("/a/b")
    assert not store.delete("/a/b")
    assert store.get("/a/b") is None


def test_deletes_only_what_it_knows_when_it_is_given_an_index(store: Store) -> None:
    index = store.put("/a/b", "ours")
    newer = store.put("/a/b", "theirs")
    assert not store.delete("/a/b", index)
    node = store.get("/a/b")
    assert node is not None
    assert node.value == "theirs"
    assert store.delete("/a/b", newer)
    assert store.get("/a/b") is None
    assert not store.delete("/a/b", newer)


def test_a_value_with_a_ttl_expires_unless_it_is_written_again(store: Store) -> None:
    store.put("/kept", "value", ttl=2)
    store.put("/left", "value", ttl=2)
    store.put("/for-good", "value", ttl=2)
    store.put("/for-good", "value")

    def expired() -> bool:
        store.put("/kept", "value", ttl=2)
        return store.get("/left") is None

    wait_until(expired, "the key that isn't written again has expired", timeout=20)
    assert store.get("/kept") is not None
    assert store.get("/for-good") is not None
    wait_until(lambda: store.get("/kept") is None, "the other one has expired, too", timeout=20)


@pytest.mark.parametrize(
    "name", ["plain", "core-02:redis-1:6379", "with space", "per%cent", "que?ry", "ha#sh", "köln", "a+b"]
)
def test_keys_and_values_may_hold_any_character(store: Store, name: str) -> None:
    store.put(f"/dir/{name}", f"{name}\n&x=1;é")
    assert {key: node.value for key, node in store.children("/dir").items()} == {name: f"{name}\n&x=1;é"}
    node = store.get(f"/dir/{name}")
    assert node is not None
    assert node.key == f"/dir/{name}"
    store.delete(f"/dir/{name}")
    assert store.children("/dir") == {}


def test_a_write_returns_the_index_that_a_read_gives(store: Store) -> None:
    first = store.put("/a", "1")
    second = store.put("/a", "2")
    assert second > first
    assert store.get("/a") == Node("/a", "2", second)


def test_a_swap_writes_only_what_nobody_else_has_written(store: Store) -> None:
    index = store.put("/a", "1")
    store.put("/elsewhere", "x")
    swapped = store.swap("/a", "2", None, index)
    assert swapped is not None
    assert store.get("/a") == Node("/a", "2", swapped)
    assert store.swap("/a", "3", None, index) is None
    assert store.get("/a") == Node("/a", "2", swapped)


def test_a_swap_from_nothing_writes_only_a_new_key(store: Store) -> None:
    index = store.swap("/a", "1", 50, 0)
    node = store.get("/a")
    assert node is not None
    assert (node.value, node.index) == ("1", index)
    assert store.swap("/a", "2", None, 0) is None
    store.delete("/a")
    assert store.swap("/a", "3", None, node.index) is None
    assert store.get("/a") is None


def test_one_of_many_swaps_wins(store: Store) -> None:
    index = store.put("/a", "0")
    with ThreadPoolExecutor(8) as pool:
        indexes = list(pool.map(lambda number: store.swap("/a", str(number), None, index), range(1, 9)))
    winners = [(number, new) for number, new in enumerate(indexes, 1) if new is not None]
    assert len(winners) == 1
    number, new = winners[0]
    assert store.get("/a") == Node("/a", str(number), new)


def test_a_swap_that_may_have_been_made_is_not_sent_to_another_member(etcd: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = etcd.store(f"http://127.0.0.1:{silent.getsockname()[1]}", etcd.url, timeout=BRIEF)
        with pytest.raises(StoreError, match=r"etcd failed to swap /a: .*timed out"):
            store.swap("/a", "1", None, 0)
    assert store.get("/a") is None
    store = etcd.store(f"http://127.0.0.1:{free_port()}", etcd.url, timeout=BRIEF)
    assert store.swap("/a", "2", None, 0) is not None


def test_each_read_gives_the_cluster_id(store: Store, etcd: Server, tmp_path: Path) -> None:
    other = EtcdServer(tmp_path / "other", release=etcd.release, api=etcd.api)
    other.start()
    try:
        index = store.put("/a", "value")
        event = store.watch("/a", index, 10)
        assert event is not None
        clusters = [event.cluster, store.read("/a").cluster, store.read("/none").cluster]
        clusters += [store.read_children(key).cluster for key in ("/", "/a", "/none")]
        assert len(set(clusters)) == 1
        assert etcd.store(other.url).read("/a").cluster not in {"", *clusters}
    finally:
        other.kill()


def test_children_are_the_values_right_below(store: Store) -> None:
    store.put("/dir/a", "1")
    store.put("/dir/b", "2")
    store.put("/dir/sub/c", "3")
    assert {name: node.value for name, node in store.children("/dir").items()} == {"a": "1", "b": "2"}
    assert store.children("/none") == {}
    assert store.children("/dir/a") == {}
    assert store.get("/dir") is None


def test_the_index_of_a_look_is_where_a_watch_misses_nothing(store: Store) -> None:
    for key in ("/missing", "/there"):
        store.put("/there", "x")
        index = store.read(key).index
        store.put("/elsewhere", "y")
        store.put(key, "first")
        store.put(key, "second")
        event = store.watch(key, index + 1, 10)
        assert event is not None
        assert event.node.value == "first"
        event = store.watch(key, event.node.index + 1, 10)
        assert event is not None
        assert event.node.value == "second"
        assert not event.gone


def test_a_watch_waits_for_what_comes(store: Store) -> None:
    index = store.read("/a").index
    with ThreadPoolExecutor() as pool:
        event = pool.submit(store.watch, "/a", index + 1, 10)
        store.put("/a", "value")
        change = event.result()
    assert change is not None
    assert change.node == Node("/a", "value", change.node.index)


def test_a_watch_ends_after_its_time(store: Store) -> None:
    store.put("/a", "value")
    assert store.watch("/a", store.read("/a").index + 1, 0.2) is None


def test_a_watch_tells_what_is_gone(store: Store) -> None:
    store.put("/a", "value")
    index = store.read("/a").index
    store.delete("/a")
    event = store.watch("/a", index + 1, 10)
    assert event is not None
    assert event.gone


def test_an_etcd_that_is_down_is_named_with_the_key(etcd: Server, store: Store) -> None:
    etcd.stop()
    with pytest.raises(StoreError, match=rf"etcd failed to write /a: {etcd.url}: .*refused") as error:
        store.put("/a", "value")
    assert error.value.status == 503
    etcd.start()
    store.put("/a", "value")


def hang(etcd: Server, store: Store) -> None:
    """Stall etcd; the signal takes a moment to reach all of its threads."""
    etcd.pause()

    def hangs() -> bool:
        try:
            store.get("/a")
        except StoreError:
            return True
        return False

    wait_until(hangs, "etcd hangs")


def test_an_etcd_that_hangs_is_given_up_in_time(etcd: Server) -> None:
    store = etcd.store(timeout=BRIEF)
    store.put("/a", "before")
    hang(etcd, store)
    with pytest.raises(StoreError, match=r"etcd failed to read /a: .*timed out"):
        store.get("/a")
    etcd.resume()
    node = store.get("/a")
    assert node is not None
    assert node.value == "before"


def test_the_next_member_is_asked_when_one_fails_and_is_asked_first_from_then_on(etcd: Server) -> None:
    way = Proxy(etcd.port)
    try:
        store = etcd.store(f"http://127.0.0.1:{way.port}", etcd.url, timeout=BRIEF)
        store.put("/a", "1")
        way.cut()
        store.put("/a", "2")
        way.heal()
        hang(etcd, etcd.store(timeout=BRIEF))
        with pytest.raises(StoreError, match=rf"{etcd.url}: .*; http://127.0.0.1:{way.port}: "):
            store.put("/a", "3")
        etcd.resume()
        store.put("/a", "4")
    finally:
        way.cut()


def brief(api: str, *members: str) -> Store:
    return connect(members, msgspec.convert({"etcd_api": api, "etcd_timeout": BRIEF}, EtcdSettings))


@pytest.mark.parametrize("api", ["v2", "v3"])
def test_every_member_that_failed_is_named(api: str) -> None:
    with pytest.raises(StoreError, match=r"http://127.0.0.1:1: .*; http://127.0.0.1:2: "):
        brief(api, "http://127.0.0.1:1", "127.0.0.1:2").get("/a")


@pytest.mark.parametrize("api", ["v2", "v3"])
@pytest.mark.parametrize("method", ["get", "delete", "put"])
def test_nothing_is_sent_twice(api: str, method: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = brief(api, f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StoreError, match=r"timed out"):
            getattr(store, method)("/a", *(["value"] if method == "put" else []))
        silent.setblocking(False)  # noqa: FBT003 - its only argument
        requests = []
        with suppress(BlockingIOError):
            while True:
                connection, _ = silent.accept()
                requests.append(connection.recv(1 << 16))
                connection.close()
    assert len(requests) == 1
    assert requests[0].count(b"HTTP/1.1\r\n") == 1


def test_many_threads_may_use_it_while_etcd_comes_and_goes(etcd: Server) -> None:
    store = etcd.store(f"http://127.0.0.1:{free_port()}", etcd.url)
    started = threading.Barrier(9)

    def write(number: int) -> None:
        started.wait()
        for item in range(20):
            store.put(f"/many/{number}-{item}", "x")

    with ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(write, number) for number in range(8)]
        started.wait()
        for writer in writers:
            writer.result()
    assert len(store.children("/many")) == 160


@pytest.mark.parametrize("url", ["", "ftp://a", "http://", "http://a:b", "http://a:99999", "http://a/v2", "//"])
def test_a_bad_member_is_named(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^ETCD_MACHINES="):
        connect((url,), EtcdSettings(), "ETCD_MACHINES")


def test_there_must_be_a_member() -> None:
    with pytest.raises(SettingsError, match=r"ETCD_PEERS names no etcd member"):
        connect((), EtcdSettings())


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and a certificate of it that serves for both sides."""
    folder: Path = tmp_path_factory.mktemp("tls")
    ca, key, csr, cert, ext = (str(folder / name) for name in ("ca.pem", "key.pem", "csr.pem", "cert.pem", "ext"))
    ca_key = str(folder / "ca-key.pem")
    new = ["req", "-newkey", "rsa:2048", "-nodes"]
    openssl(*new, "-x509", "-days", "2", "-subj", "/CN=test CA", "-keyout", ca_key, "-out", ca)
    openssl(*new, "-subj", "/CN=test", "-keyout", key, "-out", csr)
    Path(ext).write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    signed = ["-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2", "-extfile", ext]
    openssl("x509", "-req", "-in", csr, *signed, "-out", cert)
    return folder


@pytest.fixture(params=["v2-3.4", "v3-3.7"])
def secure(request: pytest.FixtureRequest, tmp_path: Path, certificates: Path) -> Iterator[tuple[str, str]]:
    """The API and URL of an etcd that talks only to those with a certificate of the CA."""
    api, release = request.param.split("-")
    url, peer = f"https://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    options = [f"--data-dir={tmp_path / 'data'}", f"--listen-client-urls={url}", f"--advertise-client-urls={url}"]
    options += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
    options += ["--enable-v2=true"] if api == "v2" else []
    options += [f"--initial-cluster=default={peer}", "--client-cert-auth=true"]
    options += [f"--trusted-ca-file={certificates / 'ca.pem'}"]
    options += [f"--cert-file={certificates / 'cert.pem'}", f"--key-file={certificates / 'key.pem'}"]
    server = Process([str(binaries.etcd(release)), *options], log=tmp_path / "log")
    server.start()
    try:
        server.wait_until(lambda: "ready to serve client requests" in server.log.read_text(), "etcd serves")
        yield api, url
    finally:
        server.kill()


def tls_store(api: str, url: str, **options: str) -> Store:
    return connect((url,), msgspec.convert({"etcd_api": api} | options, EtcdSettings))


def test_talks_tls_with_a_client_certificate(secure: tuple[str, str], certificates: Path) -> None:
    api, url = secure
    ca, cert, key = (str(certificates / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    store = tls_store(api, url, etcd_ca_file=ca, etcd_cert_file=cert, etcd_key_file=key)
    store.put("/a", "value")
    assert store.children("/").keys() == {"a"}
    with pytest.raises(StoreError, match=r"(?i)certificate"):
        tls_store(api, url, etcd_cert_file=cert, etcd_key_file=key).get("/a")
    with pytest.raises(StoreError):
        tls_store(api, url, etcd_ca_file=ca).get("/a")
