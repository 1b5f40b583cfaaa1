"""Tells from a reply what a server has not executed. Pure: no I/O, no clock.

A refusal proves that the command was not executed. redis-py raises READONLY and MASTERDOWN as types of their own;
the types here stand for the others. Sources: processCommand() of redis and valkey; valkey's `CLIENT CAPA redirect`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,  # noqa: A004 - redis-py's name
    ExecAbortError,
    InvalidResponse,
    MasterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from safe_redis.srv import Endpoint


class Loading(ResponseError):
    """LOADING: the server reads its data. redis-py makes a ConnectionError of it, which would end a pipeline."""


class Redirected(ResponseError):
    """REDIRECT: the server is a slave now. `endpoint` is its master; None while it has none."""

    def __init__(self, message: str, endpoint: Endpoint | None) -> None:
        super().__init__(message)
        self.endpoint = endpoint


class Unblocked(ResponseError):
    """UNBLOCKED: the server's role changed while the command waited, and it took nothing."""


class NotMaster(ConnectionError):
    """The instance that was connected to has another role than the one that is wanted."""


class Unanswered(RedisError):
    """The command was sent, and the connection broke before a reply came. Never leaves this package."""


REFUSALS = (ReadOnlyError, Redirected, Loading, Unblocked, MasterDownError)
# what EXEC says, after "because of: ", of a transaction that was refused as a whole
ABORTS = {"READONLY": ReadOnlyError, "LOADING": Loading, "MASTERDOWN": MasterDownError}
# what Redis 6.2 says of a script whose first write was refused: it could write nothing at all
SCRIPT = re.compile(
    r"Error running script \(call to f_[0-9a-f]{40}\): @user_script:\d+: @user_script: ?\d+: "
    r"-(READONLY You can't write against a read only replica\.)"
)


def interpret(error: RedisError) -> RedisError:
    """The refusal that `error` stands for, or `error` itself."""
    text = str(error)
    if isinstance(error, BusyLoadingError):
        return Loading(text)
    if isinstance(error, ExecAbortError):
        code, _, rest = text.partition("because of: ")[2].partition(" ")
        return ABORTS[code](rest) if code in ABORTS else error
    if text.startswith("REDIRECT "):
        return Redirected(text, _endpoint(text.removeprefix("REDIRECT ")))
    if script := SCRIPT.fullmatch(text):
        return ReadOnlyError(script[1])
    return Unblocked(text) if text.startswith("UNBLOCKED ") else error


def _endpoint(text: str) -> Endpoint | None:
    host, _, port = text.rpartition(":")
    return Endpoint(host.strip("[]"), int(port)) if host and port.isdigit() and int(port) else None


@dataclass(frozen=True, slots=True)
class Role:
    """An instance's answer to ROLE. `master` is where its master is, if it has one that can be reached."""

    is_master: bool
    connected: bool = False
    master: Endpoint | None = None

    def __str__(self) -> str:
        return "a master" if self.is_master else f"a slave of {self.master or 'nobody'}"


def role(reply: Sequence[Any]) -> Role:
    """The reply to ROLE, decoded or not. InvalidResponse where it is none."""
    try:
        name, *rest = (word.decode() if isinstance(word, bytes) else word for word in reply)
        if name == "master":
            return Role(is_master=True)
        if name != "slave":
            return Role(is_master=False)
        host, port, state, _ = rest
        # a fenced instance follows port 0, where nobody can listen
        master = Endpoint(str(host), int(port)) if int(port) else None
    except (TypeError, ValueError) as error:
        raise InvalidResponse(f"not a reply to ROLE: {reply!r}") from error
    return Role(is_master=False, connected=state == "connected", master=master)
