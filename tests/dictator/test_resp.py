"""The parser of redis's protocol: what it makes of replies, and that no bytes whatsoever do harm."""

from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dictator.link import ServerError
from dictator.resp import CODES, DEPTH, LINE, REASONS, TEXTS, Malformed, Parser, known, packed

LIMIT = 1 << 16
LETTERS = st.text("abcdefghijklmnopqrstuvwxyz \r\n\N{EURO SIGN}", max_size=20)
VALUES = st.recursive(
    st.none() | st.integers(-(10**18), 10**18) | LETTERS | st.just(ServerError("NOPERM")),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)
# bytes that look like the protocol get deeper into the parser than any others
PIECES = st.sampled_from([b"+", b"-", b":", b"$", b"*", b"\r\n", b"-1", b"0", b"1", b"3", b"99", b"OK", b"\xff", b" "])
BYTES = st.binary(max_size=200) | st.lists(PIECES, max_size=60).map(b"".join)


def encoded(value: Any) -> bytes:
    """The value as redis sends it."""
    match value:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % value
        case str():
            return b"$%d\r\n%b\r\n" % (len(value.encode()), value.encode())
        case ServerError(text):
            return b"-%b this text is not passed on\r\n" % text.encode()
        case _:
            return b"*%d\r\n%b" % (len(value), b"".join(map(encoded, value)))


def parts(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


CUTS = st.lists(st.integers(0, 1000), max_size=20)


@given(st.lists(VALUES, max_size=4), CUTS)
def test_reads_every_reply_however_tcp_cuts_it(values: list[Any], cuts: list[int]) -> None:
    parser = Parser(LIMIT)
    for part in parts(b"".join(map(encoded, values)), cuts):
        parser.feed(part)
    assert parser.replies == values
    assert parser.between_replies


@given(BYTES, CUTS)
def test_any_bytes_are_read_or_malformed(data: bytes, cuts: list[int]) -> None:
    whole, piecewise = Parser(LIMIT), Parser(LIMIT)
    with suppress(Malformed):
        whole.feed(data)
    with suppress(Malformed):
        for part in parts(data, cuts):
            piecewise.feed(part)
    assert whole.replies == piecewise.replies


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"*4294967295\r\n",
        b"*99999999999999999999\r\n",
        b"*-2\r\n",
        b"$70000\r\n",
        b"$1_0\r\n",
        b"$ 1\r\n",
        b":\xd9\xa1\r\n",
        b"$1\r\nab\r\n",
        b"*1\r\n" * (DEPTH + 1),
        b"+" + b"x" * LINE,
        b":" * LINE,
        b"+" + b"x\r\n+" * LIMIT,
        b"%1\r\n",
    ],
)
def test_refuses_what_is_no_redis_or_has_no_end(data: bytes) -> None:
    with pytest.raises(Malformed):
        Parser(LIMIT).feed(data)


def test_an_announced_length_allocates_nothing() -> None:
    parser = Parser(1 << 30)
    parser.feed(b"*%d\r\n" % (1 << 30) * DEPTH)
    assert parser.replies == []


@given(st.text(max_size=80) | st.sampled_from(TEXTS).flatmap(lambda start: st.text(max_size=40).map(start.__add__)))
def test_no_text_of_a_peer_is_passed_on(text: str) -> None:
    passed = known(text)
    start = next((start for start in TEXTS if passed.startswith(start)), None)
    if start is None:
        assert CODES.fullmatch(passed) or passed == "an unknown error"
    else:
        assert passed == start or passed.removeprefix(f"{start}: ") in REASONS


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("NOPERM no permission for 'config|rewrite'", "NOPERM"),
        ("ERR Rewriting config file: Permission denied", "ERR Rewriting config file: Permission denied"),
        ("ERR Rewriting config file: ask me", "ERR Rewriting config file"),
        ("ERR unknown command `FOO`, with args beginning with:", "ERR unknown command"),
        ("SECRET is 42", "an unknown error"),
    ],
)
def test_errors_of_redis_are_named(text: str, passed: str) -> None:
    assert known(text) == passed


def test_commands_are_packed_as_redis_reads_them() -> None:
    assert packed((("SET", "k\u20ac", 1), ("PING",))) == (
        b"*3\r\n$3\r\nSET\r\n$4\r\nk\xe2\x82\xac\r\n$1\r\n1\r\n*1\r\n$4\r\nPING\r\n"
    )
