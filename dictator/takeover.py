"""Ends the connections of all other dictators at an instance.

The server discards what those had on the way, so that two dictators can't both act on it.
"""

import re

from dictator.connection import Connection
from dictator.conversation import Waits
from dictator.instance import Instance
from dictator.link import Command, NoAnswer, NotAllowed, ServerError

NAME = "safe-redis-dictator"
SET_NAME: Command = ("CLIENT", "SETNAME", NAME)
KILL_NAME: Command = ("CLIENT", "KILL", "NAME", NAME, "SKIPME", "yes")
LIST: Command = ("CLIENT", "LIST", "TYPE", "normal")
ID: Command = ("CLIENT", "ID")
NAMED = re.compile(rf"^id=(\d+) .* name={NAME} ", re.MULTILINE)

# the bytes of the replies: CLIENT LIST of 10,000 clients takes 4 MiB
LIST_LIMIT = 16 << 20
LIMIT = 1 << 16


def take_over(connection: Connection, instance: Instance, user: str) -> Waits[None]:
    """Names the connection, and ends every other one of that name, or of the dictator's own `user`.

    Raises NotAllowed where a permission is missing, NoAnswer for any other error.
    """
    # the name comes first: of two that take over at the same time, at least one sees the other
    if user in ("", "default"):
        yield from _by_name_or_id(connection, instance)
    else:
        yield from _by_name_or_user(connection, instance, user)


def _by_name_or_id(connection: Connection, instance: Instance) -> Waits[None]:
    # in one round trip, whichever of the two ways it takes
    named, killed, listed, own = yield from connection.ask((SET_NAME, KILL_NAME, LIST, ID), LIST_LIMIT)
    if _are_killed(instance, named, killed):
        return
    _accept(instance, LIST, listed)
    _accept(instance, ID, own)
    others = [number for number in NAMED.findall(str(listed)) if number != str(own)]
    if others:
        yield from _kill(connection, instance, *(("CLIENT", "KILL", "ID", number) for number in others))


def _by_name_or_user(connection: Connection, instance: Instance, user: str) -> Waits[None]:
    named, killed = yield from connection.ask((SET_NAME, KILL_NAME), LIMIT)
    if not _are_killed(instance, named, killed):
        yield from _kill(connection, instance, ("CLIENT", "KILL", "USER", user, "SKIPME", "yes"))


def _are_killed(instance: Instance, named: object, killed: object) -> bool:
    """Whether the server has ended the connections by their name, as only Valkey 9.1 does."""
    _accept(instance, SET_NAME, named)
    if isinstance(killed, ServerError) and killed.text == "ERR syntax error":
        return False
    _accept(instance, KILL_NAME, killed)
    return True


def _kill(connection: Connection, instance: Instance, *commands: Command) -> Waits[None]:
    replies = yield from connection.ask(commands, LIST_LIMIT)
    for command, reply in zip(commands, replies, strict=True):
        _accept(instance, command, reply)


def _accept(instance: Instance, command: Command, reply: object) -> None:
    """Raises if the reply is an error."""
    if not isinstance(reply, ServerError):
        return
    name = f"{command[0]} {command[1]}"
    if reply.text.startswith(("NOPERM", "ERR unknown")):
        raise NotAllowed(instance, name, reply.text)
    raise NoAnswer(f"{instance} can't be taken over: {name}: {reply.text}")
