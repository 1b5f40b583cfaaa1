"""The commands that change redis, and what is checked of their replies."""

from collections.abc import Sequence
from typing import Any

from dictator.instance import Instance
from dictator.lineage import ALLOW_OOM, KEY, Record, encode
from dictator.link import Command, NoAnswer, ServerError
from dictator.observation import FENCE

INFO: Command = ("INFO", "replication")
PERSISTENCE: Command = ("INFO", "persistence")
NO_ONE: Command = ("REPLICAOF", "NO", "ONE")
PARK: Command = ("REPLICAOF", *FENCE)
REWRITE: Command = ("CONFIG", "REWRITE")
UNPAUSE: Command = ("CLIENT", "UNPAUSE")
ROLE: Command = ("ROLE",)
DISCONNECT: Command = ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
GET_RECORD: Command = ("GET", KEY)


class CommandFailed(NoAnswer):
    """An instance answered a command with an error."""


def replicaof(address: tuple[str, int]) -> Command:
    """Makes an instance a slave of the address."""
    return ("REPLICAOF", *address)


def set_record(record: Record) -> Command:
    """Writes the lineage record."""
    return ("SET", KEY, encode(record))


def set_record_when_full(record: Record) -> Command:
    """The same where the instance is above its maxmemory and refuses SET; not on Redis 6.2."""
    return ("EVAL", ALLOW_OOM, 1, KEY, encode(record))


def transaction(*commands: Command) -> tuple[Command, ...]:
    """All of the commands or none: TCP may deliver a pipeline in part, and a role without its place on disk."""
    return (("MULTI",), *commands, ("EXEC",))


def check_replies(instance: Instance, replies: Sequence[Any], *, tolerate: tuple[int, ...] = ()) -> Sequence[Any]:
    """The replies, if redis answered none of them with an error (but those whose places are tolerated)."""
    for place, reply in enumerate(replies):
        if isinstance(reply, ServerError) and place not in tolerate:
            raise CommandFailed(f"{instance} refused a command: {reply.text}")
    return replies


def check_transaction(
    instance: Instance, replies: Sequence[Any], size: int, *, tolerate: tuple[int, ...] = ()
) -> tuple[Sequence[Any], Sequence[Any]]:
    """The results of a transaction of `size` commands at the start of `replies`, and the replies behind it.

    Raises CommandFailed where nothing of it was done, or one of its commands failed (but those that are tolerated).
    """
    end = size + 2
    check_replies(instance, replies[:end])
    results = replies[end - 1]
    if not isinstance(results, Sequence) or isinstance(results, str) or len(results) != size:
        raise CommandFailed(f"{instance} answered EXEC with {results!r}, expected {size} results")
    return check_replies(instance, results, tolerate=tolerate), replies[end:]
