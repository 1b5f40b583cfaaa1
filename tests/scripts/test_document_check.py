"""scripts/topology.jq accepts and refuses the same documents as safe_redis.topology."""

import json
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safe_redis.errors import DocumentError
from safe_redis.topology import parse
from sandbox.process import ROOT

ADDRESSES = [
    *(
        "core-01.redis-1.docker",
        "core-01.redis-1.docker.",
        "CORE-01.redis-1.docker",
        "a_b.c",
        "core:x",
        "a:b.c",
        "a.b.",
    ),
    *(
        "10.0.0.1",
        "010.0.0.1",
        "256.1.1.1",
        "1.2.3",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "::ffff:0.0.0.0",
        "ff02::1",
        "feff::1",
        "a.5",
        "a.b:c",
        "a..b",
        ".",
        "..",
        "",
        "a b",
        "a\0b",
    ),
    *(
        "::1",
        "0:0::1",
        "::",
        "1::",
        "00001::1",
        "g::1",
        "1::2::3",
        ":::",
        "fe80::1%eth0",
        "fe80::1%",
        "a%b",
        "a/b",
        "é",
    ),
    *("::ffff:10.0.0.1", "::ffff:a00:1", "::1.2.3.4", "1.2.3.4::", "1:2:3:4:5:6:1.2.3.4"),
    *("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8::"),
    *("a" * 63, "a" * 64, "x" * 254, ".".join(["x" * 50] * 5)),
]
VALID: dict[str, Any] = {"address": "core-01"}
PORTS: list[Any] = [1, 0, 65535, 65536, -1, 1.5, "1", True, None, []]
MASTERS: list[Any] = [None, "a", [], {}, {"address": 1}, VALID | {"x": 1}]
SLAVES: list[Any] = [None, {}, "a", [1], [VALID], [{"address": "CORE-01."}]]
DOCUMENTS: list[Any] = [
    *({"master": {"address": address}, "slaves": []} for address in ADDRESSES),
    *({"master": VALID | {"port": port}, "slaves": []} for port in PORTS),
    *({"master": master, "slaves": []} for master in MASTERS),
    *({"master": VALID, "slaves": slaves} for slaves in SLAVES),
    {"master": VALID},
    {"slaves": []},
    {"master": VALID, "slaves": [], "x": 1},
    {"master": {"address": "10.0.0.1", "port": 6379}, "slaves": [{"address": "10.0.0.1"}]},
    {"master": {"address": "10.0.0.1", "port": 6380}, "slaves": [{"address": "10.0.0.1"}]},
    {},
    [],
    None,
    "a",
]
TEXTS = [*map(json.dumps, DOCUMENTS), "", "{", "nan", "{} {}", json.dumps(DOCUMENTS[0]) + " x"]


def problem(text: str) -> str:
    """What the script's check prints, or why it fails; empty for a good document."""
    command = ["jq", "-rs", "-f", str(ROOT / "scripts/topology.jq")]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)
    return done.stderr if done.returncode else done.stdout


def is_valid(text: str) -> bool:
    try:
        parse(text.encode())
    except DocumentError:
        return False
    return True


@pytest.mark.parametrize("text", TEXTS)
def test_agrees_with_the_services(text: str) -> None:
    assert (problem(text) == "") == is_valid(text), problem(text)


@settings(max_examples=100)
@given(st.lists(st.sampled_from(ADDRESSES), min_size=2, max_size=3))
def test_agrees_on_which_instances_are_the_same(addresses: list[str]) -> None:
    master, *slaves = ({"address": address} for address in addresses)
    text = json.dumps({"master": master, "slaves": slaves})
    assert (problem(text) == "") == is_valid(text), problem(text)
