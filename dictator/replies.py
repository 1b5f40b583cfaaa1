"""What an instance's answers must look like. Pure: no I/O, no clock.

Whoever reads INFO further on may rely on it: a peer that is no redis, or a hostile one, ends here.
"""

import re
from typing import Any

from dictator.link import Command, ServerError, fields
from dictator.resp import Malformed

# the fields of INFO that every redis gives, and what they look like
INTEGER = re.compile(r"-?\d{1,19}")
IDENTIFIER = re.compile(r"[0-9a-f]{40}")
PORT = re.compile(r"\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5]")
SHAPES = {
    "run_id": IDENTIFIER,
    "role": re.compile("master|slave"),
    "master_replid": IDENTIFIER,
    "master_replid2": IDENTIFIER,
    "master_repl_offset": INTEGER,
    "second_repl_offset": INTEGER,
    "repl_backlog_active": re.compile("[01]"),
    "repl_backlog_first_byte_offset": INTEGER,
    "connected_slaves": INTEGER,
    "master_host": re.compile(r"[\w.:%-]{1,255}", re.ASCII),
    "master_port": PORT,
    "slave_repl_offset": INTEGER,
    "used_memory": INTEGER,
    "mem_not_counted_for_evict": INTEGER,
    "maxmemory": INTEGER,
    "maxmemory_policy": re.compile("[a-z-]{1,40}"),
}
MANDATORY = {
    "server": ("run_id",),
    "replication": (
        "role",
        "master_replid",
        "master_repl_offset",
        "repl_backlog_active",
        "repl_backlog_first_byte_offset",
    ),
    "memory": ("used_memory", "maxmemory", "maxmemory_policy"),
}
OF_A_SLAVE = ("master_host", "master_port", "slave_repl_offset")


def checked(command: Command, reply: Any) -> Any:
    """The reply; that of INFO as a dict. Raises Malformed where INFO lacks what every redis says."""
    if command[0] != "INFO" or isinstance(reply, ServerError):
        return reply
    if not isinstance(reply, str):
        raise Malformed("its answer to INFO is not a text")
    info = fields(reply)
    needed = [name for section in command[1:] for name in MANDATORY.get(str(section), ())]
    if "replication" in command[1:] and info.get("role") == "slave":
        needed += OF_A_SLAVE
    for name in needed:
        if name not in info:
            raise Malformed(f"its answer to INFO lacks {name}")
    for name, shape in SHAPES.items():
        if name in info and not shape.fullmatch(info[name]):
            raise Malformed(f"{name} in its answer to INFO is not what redis says")
    return info
