"""What only the v2 API has: a history of a thousand events, directories, and basic auth."""

import json
import socket
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from safe_redis.errors import Rejected, StoreError
from safe_redis.etcd import Cleared, EtcdSettings, Store, connect
from sandbox.etcd import EtcdServer
from sandbox.proxy import Conversation, Proxy
from sandbox.web import LOOPBACK, request


@pytest.fixture
def store(etcd: EtcdServer) -> Store:
    return connect((etcd.url,), EtcdSettings())


def test_a_watch_of_what_etcd_has_forgotten_is_told(store: Store) -> None:
    store.put("/a", "value")
    index = store.read("/a").index
    for number in range(1010):
        store.put("/elsewhere", str(number))
    with pytest.raises(Cleared, match=rf"etcd can't watch /a from {index} on"):
        store.watch("/a", index, 10)


def test_what_etcd_rejects_is_told_apart_from_what_it_cannot_do_now(store: Store, etcd: EtcdServer) -> None:
    store.put("/dir/a", "value")
    with pytest.raises(Rejected, match=rf"etcd at {etcd.url} refused to write /dir: Not a file"):
        store.put("/dir", "value")
    with pytest.raises(Rejected, match=r"refused to delete /dir"):
        store.delete("/dir")


def test_basic_auth_with_a_password_of_a_file(etcd: EtcdServer, tmp_path: Path) -> None:
    def admin(path: str, body: object | None = None) -> None:
        headers = {"Content-Type": "application/json", "Authorization": "Basic " + b64encode(b"root:pass").decode()}
        text = json.dumps(body) if body else None
        answer = request((LOOPBACK, etcd.port), "PUT", f"/v2/auth/{path}", text, headers=headers)
        assert answer.status in {200, 201}, answer.body

    admin("users/root", {"user": "root", "password": "pass"})
    admin("enable")
    admin("roles/guest", {"role": "guest", "revoke": {"kv": {"read": ["/*"], "write": ["/*"]}}})
    file = tmp_path / "password"
    file.write_text("pass\n")
    connect((etcd.url,), EtcdSettings(etcd_username="root", etcd_password_file=str(file))).put("/a", "value")
    for settings in (EtcdSettings(), EtcdSettings(etcd_username="root", etcd_password="wrong")):
        with pytest.raises(StoreError, match=r"/a") as error:
            connect((etcd.url,), settings).put("/a", "value")
        assert "wrong" not in str(error.value)


def test_each_thread_gets_the_cluster_id_of_its_own_answer(store: Store) -> None:
    expected = store.read("/none").cluster
    assert expected
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads get in each other's way much more often
    try:
        with ThreadPoolExecutor(4) as pool:
            clusters = list(pool.map(lambda _: store.read("/none").cluster, range(1500)))
    finally:
        sys.setswitchinterval(before)
    assert set(clusters) == {expected}


def test_an_answer_that_is_no_success_leaves_the_connection_to_the_next_request(etcd: EtcdServer) -> None:
    connections: list[Conversation] = []

    def count(client: socket.socket, server: socket.socket) -> Conversation:
        connections.append(Conversation(client, server))
        return connections[-1]

    with closing(Proxy(etcd.port, conversation=count)) as proxy:
        store = connect((f"http://{LOOPBACK}:{proxy.port}",), EtcdSettings())
        assert store.get("/none") is None
        index = store.put("/a", "value")
        assert store.swap("/a", "other", None, index + 1) is None
        assert store.swap("/a", "other", None, 0) is None
        assert not store.delete("/none")
        with pytest.raises(Rejected, match="Not a directory"):
            store.put("/a/b", "value")
        assert store.swap("/a", "other", None, index)
    assert len(connections) == 1
