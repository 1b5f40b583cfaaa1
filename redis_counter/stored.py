"""Reads a list as a master holds it, while masters may move."""

from redis.connection import Connection
from redis.exceptions import ReadOnlyError

from redis_counter.master import ask_at_once

CHUNK = 1_000_000
"""Entries read at once. A master that moves between two chunks has the reading begin anew: few chunks are best."""


def read(connection: Connection, key: str) -> list[str]:
    """The whole list. ReadOnlyError where the server is no master at the moment of reading."""
    values: list[str] = []
    while len(chunk := _chunk(connection, key, len(values))) == CHUNK:
        values += chunk
    return values + chunk


def _chunk(connection: Connection, key: str, start: int) -> list[str]:
    values, role = ask_at_once(connection, ("LRANGE", key, start, start + CHUNK - 1), ("ROLE",))
    if role[0] != "master":
        raise ReadOnlyError("what DNS names is no master")
    return list(values)
