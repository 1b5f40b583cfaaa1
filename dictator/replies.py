"""What an instance's answers must look like. Pure: no I/O, no clock.

Whoever reads INFO further on may rely on it: a peer that is no redis, or a hostile one, ends here.
"""

import re
from collections.abc import Mapping
from re import Pattern
from typing import Any

from dictator.link import Command, ServerError, fields
from dictator.resp import Malformed

# the fields of INFO that every redis gives, and what they look like
INTEGER = re.compile(r"-?\d{1,19}")
IDENTIFIER = re.compile(r"[0-9a-f]{40}")
PORT = re.compile(r"\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5]")
SHAPES: Mapping[str, Mapping[str, Pattern[str]]] = {
    "server": {"run_id": IDENTIFIER},
    "replication": {
        "role": re.compile("master|slave"),
        "master_replid": IDENTIFIER,
        "master_repl_offset": INTEGER,
        "repl_backlog_active": re.compile("[01]"),
        "repl_backlog_first_byte_offset": INTEGER,
        "connected_slaves": INTEGER,
    },
    "slave": {
        "master_host": re.compile(r"[\w.:%-]{1,255}", re.ASCII),
        "master_port": PORT,
        "slave_repl_offset": INTEGER,
    },
    "memory": {"used_memory": INTEGER, "maxmemory": INTEGER, "maxmemory_policy": re.compile("[a-z-]{1,40}")},
}
# those that only some versions give
OPTIONAL: Mapping[str, Pattern[str]] = {
    "master_replid2": IDENTIFIER,
    "second_repl_offset": INTEGER,
    "mem_not_counted_for_evict": INTEGER,
}


def checked(command: Command, reply: Any) -> Any:
    """The reply; that of INFO as a dict. Raises Malformed where INFO lacks what every redis says."""
    if command[0] != "INFO" or isinstance(reply, ServerError):
        return reply
    if not isinstance(reply, str):
        raise Malformed("its answer to INFO is not a text")
    info = fields(reply)
    for section in command[1:]:
        _check(info, SHAPES.get(str(section), {}))
    if "replication" in command and info["role"] == "slave":
        _check(info, SHAPES["slave"])
    for name in OPTIONAL.keys() & info.keys():
        _check(info, {name: OPTIONAL[name]})
    return info


def _check(info: Mapping[str, str], shapes: Mapping[str, Pattern[str]]) -> None:
    for name, shape in shapes.items():
        value = info.get(name)
        if value is None:
            raise Malformed(f"its answer to INFO lacks {name}")
        if not shape.fullmatch(value):
            raise Malformed(f"{name} in its answer to INFO is not what redis says")
