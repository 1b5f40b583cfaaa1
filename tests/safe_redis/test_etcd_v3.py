"""What only the v3 API has: compaction, leases, tokens, and reads that need a quorum."""

import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from safe_redis.errors import Rejected, StoreError
from safe_redis.etcd import Cleared, EtcdSettings, Node, Store, connect
from sandbox.etcd import EtcdServer
from sandbox.keys_v3 import KeysV3
from sandbox.process import wait_until
from tests.safe_redis import etcd_group

V3 = EtcdSettings(etcd_api="v3")


@pytest.fixture(params=[pytest.param("3.4", marks=pytest.mark.full), "3.5", "3.7"])
def etcd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EtcdServer]:
    server = EtcdServer(tmp_path / "etcd", release=request.param, api="v3")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def keys(etcd: EtcdServer) -> KeysV3:
    return KeysV3(etcd.url)


@pytest.fixture
def store(etcd: EtcdServer) -> Store:
    return connect((etcd.url,), V3)


def encode(text: str) -> str:
    return b64encode(text.encode()).decode()


def test_a_watch_from_before_a_compaction_is_refused(store: Store, keys: KeysV3) -> None:
    index = store.put("/a", "1")
    last = store.put("/a", "2")
    keys.call("kv/compaction", {"revision": str(last)})
    with pytest.raises(Cleared, match=rf"etcd can't watch /a from {index} on: what was before {last} is compacted"):
        store.watch("/a", index, 10)
    event = store.watch("/a", last, 10)
    assert event is not None
    assert event.node == Node("/a", "2", last)


def test_a_watch_ends_in_time_while_other_keys_change(store: Store) -> None:
    index = store.put("/a", "1")
    started = time.monotonic()
    with ThreadPoolExecutor() as pool:
        event = pool.submit(store.watch, "/a", index + 1, 1)
        while not event.done() and time.monotonic() < started + 30:
            store.put("/elsewhere", "x")
        assert event.result() is None


def test_a_watch_closes_its_stream(store: Store, etcd: EtcdServer) -> None:
    def watchers() -> int:
        count = 0
        for tcp in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            local, state = tcp.split()[1], tcp.split()[3]
            count += local.endswith(f":{etcd.port:04X}") and state == "01"
        return count

    store.put("/a", "1")
    before = watchers()
    for _ in range(20):
        store.watch("/a", 1000, 0.01)
    wait_until(lambda: watchers() <= before, "etcd has no more connections than before")


def test_a_lease_that_was_revoked_is_replaced(store: Store, keys: KeysV3) -> None:
    def leases() -> list[str]:
        return [lease["ID"] for lease in keys.call("lease/leases", {}).get("leases", [])]

    store.put("/a", "1", ttl=60)
    (lease,) = leases()
    store.put("/a", "2", ttl=60)
    assert leases() == [lease]
    keys.call("lease/revoke", {"ID": lease})
    assert store.get("/a") is None
    store.put("/a", "3", ttl=60)
    node = store.get("/a")
    assert node is not None
    assert node.value == "3"
    assert leases() != [lease]


def test_a_swap_replaces_a_lease_that_was_revoked_and_renews_one_that_was_not(store: Store, keys: KeysV3) -> None:
    index = store.swap("/a", "1", 60, 0)
    assert index is not None
    (lease,) = keys.call("lease/leases", {})["leases"]
    assert store.swap("/a", "2", 60, index) is not None
    assert keys.call("lease/leases", {})["leases"] == [lease]
    keys.call("lease/revoke", {"ID": lease["ID"]})
    assert store.swap("/a", "3", 60, 0) is not None
    assert keys.call("lease/leases", {})["leases"] != [lease]


def test_a_swap_renews_the_lease_of_its_key(store: Store) -> None:
    indexes = [store.swap("/kept", "1", 2, 0)]
    store.put("/left", "1", ttl=2)

    def left_alone() -> bool:
        indexes.append(store.swap("/kept", "2", 2, indexes[-1] or 0))
        return store.get("/left") is None

    wait_until(left_alone, "the key that isn't written has expired", timeout=20)
    assert None not in indexes


def test_each_key_expires_by_itself(store: Store) -> None:
    store.put("/kept", "1", ttl=2)
    store.put("/left", "1", ttl=2)

    def left_alone() -> bool:
        store.put("/kept", "2", ttl=2)
        return store.get("/left") is None

    wait_until(left_alone, "the key that isn't written has expired", timeout=20)
    assert store.get("/kept") is not None


def test_a_value_that_is_not_utf_8_does_not_hide_the_others(store: Store, keys: KeysV3) -> None:
    keys.call("kv/put", {"key": encode("/dir/odd"), "value": b64encode(b"\xff\xfe").decode()})
    store.put("/dir/a", "1")
    assert store.children("/dir")["a"].value == "1"


def test_children_are_not_those_of_keys_that_begin_alike(store: Store) -> None:
    for key in ("/dir", "/dir/a", "/dir-2/b", "/dir0", "/dirs"):
        store.put(key, "x")
    assert set(store.children("/dir")) == {"a"}
    assert set(store.children("/")) == {"dir", "dir0", "dirs"}


def test_the_cluster_id_is_that_of_the_v2_api(tmp_path: Path) -> None:
    with EtcdServer(tmp_path / "etcd") as etcd:
        assert connect((etcd.url,), V3).read("/a").cluster == connect((etcd.url,), EtcdSettings()).read("/a").cluster


def switch_auth_on(keys: KeysV3) -> str:
    """Users root and dnsd, who may write below /skydns; the token of root."""
    for user in ("root", "dnsd"):
        keys.call("auth/user/add", {"name": user, "password": f"{user} pass"})
    keys.call("auth/role/add", {"name": "root"})
    keys.call("auth/role/add", {"name": "records"})
    permission = {"permType": "READWRITE", "key": encode("/skydns/"), "range_end": encode("/skydns0")}
    keys.call("auth/role/grant", {"name": "records", "perm": permission})
    keys.call("auth/user/grant", {"user": "root", "role": "root"})
    keys.call("auth/user/grant", {"user": "dnsd", "role": "records"})
    keys.call("auth/enable", {})
    token: str = keys.call("auth/authenticate", {"name": "root", "password": "root pass"})["token"]
    return token


def user(etcd: EtcdServer, word: str = "dnsd pass") -> Store:
    return connect((etcd.url,), EtcdSettings(etcd_api="v3", etcd_username="dnsd", etcd_password=word))


def test_a_user_goes_on_while_auth_is_switched_on_and_users_change(etcd: EtcdServer, keys: KeysV3) -> None:
    store = user(etcd)
    store.put("/skydns/a", "1", ttl=60)
    token = switch_auth_on(keys)
    store.put("/skydns/a", "2", ttl=60)
    # which makes every token old
    keys.call("auth/user/add", {"name": "other", "password": "pass"}, token=token)
    store.put("/skydns/a", "3", ttl=60)
    etcd.stop()
    etcd.start()  # it forgets all tokens
    index = store.put("/skydns/a", "4", ttl=60)
    event = store.watch("/skydns/a", index, 10)
    assert event is not None
    assert event.node == Node("/skydns/a", "4", index)


def test_a_watch_renews_the_token_itself(etcd: EtcdServer, keys: KeysV3) -> None:
    index = user(etcd).put("/skydns/a", "1")
    switch_auth_on(keys)
    event = user(etcd).watch("/skydns/a", index, 10)
    assert event is not None
    assert event.node == Node("/skydns/a", "1", index)


def test_what_a_user_may_not_do_is_rejected(etcd: EtcdServer, keys: KeysV3) -> None:
    switch_auth_on(keys)
    with pytest.raises(Rejected, match=rf"etcd at {etcd.url} refused to write /config/a: .*permission denied"):
        user(etcd).put("/config/a", "1")
    with pytest.raises(Rejected, match=r"refused to watch /config/a: .*permission denied"):
        user(etcd).watch("/config/a", 1, 10)
    with pytest.raises(StoreError, match=r"/skydns/a: .*authentication failed") as error:
        user(etcd, "wrong").put("/skydns/a", "1")
    assert "wrong" not in str(error.value)
    with pytest.raises(StoreError, match=r"/skydns/a: .*user name is empty"):
        connect((etcd.url,), V3).put("/skydns/a", "1")


def test_an_etcd_that_was_wiped_has_an_index_from_before(tmp_path: Path) -> None:
    etcd = EtcdServer(tmp_path / "etcd", release="3.7", api="v3")
    etcd.start()
    store = connect((etcd.url,), V3)
    try:
        store.put("/a", "1", ttl=60)
        index = store.put("/a", "2", ttl=60)
        etcd.kill()
        (tmp_path / "etcd" / "data").rename(tmp_path / "lost")
        etcd.start()
        assert store.read("/a").node is None
        assert store.read("/a").index < index
        store.put("/a", "3", ttl=60)  # its lease was lost, too
        assert store.watch("/a", index + 1, 0.2) is None
    finally:
        etcd.kill()


def test_goes_on_when_the_leader_hangs_or_dies(tmp_path: Path) -> None:
    with etcd_group.running(tmp_path) as group:
        store = connect(tuple(group.urls.values()), EtcdSettings(etcd_api="v3", etcd_timeout=2))
        for number, end in enumerate(("pause", "kill")):
            leader = group.leader()
            index = store.put("/a", f"before {number}", ttl=60)
            getattr(group.processes[leader], end)()

            def written(number: int = number) -> bool:
                try:
                    store.put("/a", f"after {number}", ttl=60)
                except StoreError:
                    return False
                return True

            wait_until(written, f"a write is taken after a {end} of the leader", timeout=60)
            event = store.watch("/a", index + 1, 10)
            assert event is not None
            assert event.node.value == f"after {number}"
            if end == "pause":
                group.processes[leader].resume()


def test_a_member_without_a_quorum_answers_nothing_old(tmp_path: Path) -> None:
    with etcd_group.running(tmp_path) as group:
        left, *others = (name for name in etcd_group.NAMES)
        store = connect((group.urls[left],), EtcdSettings(etcd_api="v3", etcd_timeout=2))
        store.put("/a", "old")
        for name in others:
            group.processes[name].kill()
        for ask in (lambda: store.get("/a"), lambda: store.put("/a", "new"), lambda: store.children("/")):
            with pytest.raises(StoreError, match=group.urls[left]):
                ask()

        def watch_fails() -> bool:
            try:
                store.watch("/a", 1000, 1)
            except StoreError:
                return True
            return False

        wait_until(watch_fails, "a watch on a member without a leader fails", timeout=60)
        for name in others:
            group.processes[name].start()

        def answers() -> bool:
            try:
                return store.get("/a") is not None
            except StoreError:
                return False

        wait_until(answers, "the members answer again", timeout=60)
