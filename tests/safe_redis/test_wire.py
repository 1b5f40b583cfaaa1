"""Whatever bytes arrive at the dictator and dnsd, headers and chunks included, the answer is no 500."""

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.etcd import EtcdServer
from sandbox.process import free_port
from sandbox.web import WebServer
from tests.dnsd.conftest import Dnsd

# nobody listens at port 1, so that a document that is well-formed is answered at once
ADDRESSES = st.sampled_from(["127.0.0.1", "::1", "a..b", "", "x" * 300, "127.0.0.1:1", "127.1", "0"])
INSTANCES = st.fixed_dictionaries({"address": ADDRESSES}, optional={"port": st.sampled_from([1, 0, 65536, "1", None])})
DOCUMENTS = st.fixed_dictionaries({}, optional={"master": INSTANCES, "slaves": st.lists(INSTANCES, max_size=3)})
BODIES = st.binary(max_size=200) | DOCUMENTS.map(lambda document: json.dumps(document).encode())

FRAMING = ["Content-Length", "Transfer-Encoding", "Trailer", "Expect", "Connection", "Upgrade"]
OTHERS = ["Topology-Index", "Topology-Cluster", "Authorization", "Accept", "Content-Type", "Content-Encoding", "Host"]
NAMES = st.sampled_from([*FRAMING, *OTHERS])
TEXT = st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n")
VALUES = st.text(TEXT, max_size=40) | st.sampled_from(
    ["1", "-1", "9" * 25, "chunked", "gzip, chunked", "100-continue", "close", "h2c", "Bearer x", "text/html;q=x"]
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=4)
METHODS = st.sampled_from(["PUT"] * 6 + ["GET", "POST", "HEAD", "OPTIONS", "TRACE", "FETCH", "put", "P\0T"])
QUERIES = st.sampled_from(["", "?force=1", "?force=x", "?dry_run=1", "?dry_run=%00", "?%ff=%fe", "?a=1&a=2", "#x"])


def chunked(body: bytes, cuts: Sequence[int], extension: bytes, trailer: bytes) -> bytes:
    """The body in chunks of these sizes."""
    chunks = []
    for size in cuts:
        chunks.append(b"%x%s\r\n%s\r\n" % (len(body[:size]), extension, body[:size]))
        body = body[size:]
    return b"".join([*chunks, b"0\r\n", trailer, b"\r\n"])


CHUNKS = st.builds(
    chunked,
    BODIES,
    st.lists(st.integers(1, 200), max_size=4),
    st.sampled_from([b"", b";a=b", b" ", b";" + b"x" * 100]),
    st.sampled_from([b"", b"X: y\r\n", b"no trailer\r\n", b"Content-Length: 5\r\n"]),
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """A query, and the rest of a request to append to method and path: headers and body in one of several framings."""
    headers = [f"{name}: {value}" for name, value in draw(HEADERS)]
    framing = draw(st.sampled_from(["length", "chunked", "none", "long", "short", "both"]))
    body = draw(CHUNKS) if framing in ("chunked", "both") else draw(BODIES)
    if framing not in {"none", "chunked"}:
        length = len(body) + {"long": 7, "short": -1}.get(framing, 0)
        headers.append(f"Content-Length: {max(length, 0)}")
    if framing in ("chunked", "both"):
        headers.append("Transfer-Encoding: chunked")
    lines = "".join(f"{line}\r\n" for line in ["Host: x", *headers]).encode("latin-1")
    return draw(QUERIES), lines + b"\r\n" + body


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, WebServer]]:
    """Both services, by their paths."""
    directory = tmp_path_factory.mktemp("wire")
    quick = {"NAMESERVERS": "127.0.0.1", "NAMESERVERS_PORT": str(free_port()), "RESOLVE_TIMEOUT": "0.1"}
    with ExitStack() as stack:
        etcd = stack.enter_context(EtcdServer(directory / "etcd"))
        dnsd = stack.enter_context(Dnsd(etcd, directory / "dnsd.log", LOG_LEVEL="ERROR"))
        dictator = WebServer("dictator", directory / "dictator.log", {**quick, "LOG_LEVEL": "ERROR"})
        yield {"/dns": dnsd, "/master": stack.enter_context(dictator)}


def status_of(port: int, request: bytes) -> int | None:
    """The status of the answer; None where the connection just ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        answer = b""
        with suppress(ConnectionError):
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(1 << 16):
                answer += chunk
    # what comes first may be 100 Continue
    lines = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    return int(lines[-1].split()[1]) if lines else None


@pytest.mark.parametrize("path", ["/dns", "/master"])
@settings(max_examples=250)
@given(method=METHODS, request=requests())
def test_no_bytes_are_a_500(services: dict[str, WebServer], path: str, method: str, request: tuple[str, bytes]) -> None:
    server = services[path]
    query, rest = request
    status = status_of(server.port, f"{method} {path}{query} HTTP/1.1\r\n".encode() + rest)
    assert status != 500
    assert server.running
    assert "Traceback" not in server.process.log.read_text()


@pytest.mark.parametrize("path", ["/dns", "/master"])
@settings(max_examples=100)
@given(junk=st.binary(max_size=300))
def test_what_is_no_request_is_no_500_either(services: dict[str, WebServer], path: str, junk: bytes) -> None:
    server = services[path]
    assert status_of(server.port, junk) != 500
    assert server.running
