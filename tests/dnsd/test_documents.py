"""Whatever is PUT to a running dnsd, the answer is one of those promised, and never a 500."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.etcd import EtcdServer
from tests.dnsd.conftest import Dnsd

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)
NAMES = st.sampled_from(["core-01.redis-1.docker", "core-02.redis-1.docker", "master.redis-1.docker", "slaves", "a..b"])
ADDRESSES = NAMES | st.ip_addresses().map(str) | st.text(max_size=300)
PORTS = st.integers(-1, 70000) | st.none()
INSTANCES = st.fixed_dictionaries({"address": ADDRESSES}, optional={"port": PORTS}) | JSON
TOPOLOGIES = st.fixed_dictionaries({}, optional={"master": INSTANCES, "slaves": st.lists(INSTANCES, max_size=4) | JSON})
BODIES = st.one_of(
    st.binary(), st.text().map(str.encode), (JSON | TOPOLOGIES).map(lambda document: json.dumps(document).encode())
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dnsd]:
    """One dnsd for all the documents."""
    directory: Path = tmp_path_factory.mktemp("documents")
    with EtcdServer(directory / "etcd") as etcd:
        dnsd = Dnsd(etcd, directory / "log", LOG_LEVEL="ERROR")
        for number in (1, 2):
            dnsd.register(f"core-0{number}", f"10.0.0.{number}", 49150 + number)
        with dnsd:
            yield dnsd


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODIES)
def test_no_document_is_a_500(running: Dnsd, body: bytes) -> None:
    status, text = running.put_raw(body)
    assert status in {200, 202, 400, 503}
    assert text.count("\n") == 1
    assert (status == 200) == (text == "OK\n")
    assert status != 400 or text.startswith("DocumentError: ")
    assert status != 503 or text.startswith("NoRecord: ")


@settings(max_examples=100, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "FETCH"]),
    path=st.sampled_from(["/dns", "/healthz", "/", "/dns/", "/master", "/static/x", "/%00", "/dns?force=1", "//dns"]),
    headers=st.dictionaries(
        st.sampled_from(["Accept", "Content-Type", "Expect", "If-Match", "Range", "Content-Encoding"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    ),
)
def test_no_request_is_a_500(running: Dnsd, method: str, path: str, headers: dict[str, str]) -> None:
    answer = running.request(method, path, b"{}", headers=headers)
    assert answer.status < 500
    assert answer.status != 405 or answer.headers["Allow"]
