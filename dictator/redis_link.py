"""A Link to a real instance. A looking one may reopen its connection; an acting one never does.

An acting link takes over first: it names its connection, and then ends every other connection of that name. The
server discards what those had on the way, so that two dictators can't both act on an instance.
"""

import re
from threading import Lock
from typing import Any

from dictator.connection import Access, Connection, Talk, Waits, drive
from dictator.link import Command, NoAnswer, NotAllowed, Replies, ServerError, fields
from dictator.observation import Instance
from dictator.resp import Malformed

NAME = "safe-redis-dictator"
SET_NAME = ("CLIENT", "SETNAME", NAME)
KILL_NAME = ("CLIENT", "KILL", "NAME", NAME, "SKIPME", "yes")
LIST = ("CLIENT", "LIST", "TYPE", "normal")
ID = ("CLIENT", "ID")
NAMED = re.compile(rf"^id=(\d+) .* name={NAME} ", re.MULTILINE)

# the bytes of a group's replies: INFO of a large server takes tens of KiB, CLIENT LIST of 10,000 clients 4 MiB
LIMIT = 1 << 20
LIST_LIMIT = 16 << 20
# what only reads, by the first word or the first two
READS = frozenset(
    {"INFO", "PING", "GET", "EXISTS", "DBSIZE", "CONFIG GET", "PUBSUB NUMSUB", "CLIENT LIST", "CLIENT ID"}
)

INTEGER = re.compile(r"-?\d{1,19}")
# the fields of INFO that are always there, and those that are numbers
MANDATORY = {
    "server": ("run_id",),
    "replication": (
        "role",
        "master_replid",
        "master_repl_offset",
        "repl_backlog_active",
        "repl_backlog_first_byte_offset",
    ),
}
OF_A_SLAVE = ("master_host", "master_port", "slave_repl_offset")
NUMBERS = (
    "master_repl_offset",
    "slave_repl_offset",
    "second_repl_offset",
    "master_port",
    "repl_backlog_active",
    "repl_backlog_first_byte_offset",
)


class RedisLink:
    """A Link over one connection. Any thread may use it.

    While it is looking, a group that only reads is sent once more, over a new connection, if the old one has broken:
    another dictator may have ended it. Any other group is not: so no command reaches an instance that has restarted
    since it was last asked, and that may be a master with writes of its own by now.
    """

    def __init__(self, instance: Instance, access: Access, *, acting: bool = False) -> None:
        self.lock = Lock()
        self._instance = instance
        self._user = access.username
        self._connection = Connection(instance, access)
        self._acting = acting
        self._taken = False
        self._dead: NoAnswer | None = None

    def send(self, *commands: Command) -> Replies:
        """See Link."""
        with self.lock:
            talk = self.talk(commands)
            drive([talk])
            if isinstance(talk.result, NoAnswer):
                raise talk.result
            return talk.result

    def act(self) -> None:
        """Makes the link acting: its next use takes over, and from then on it isn't reopened."""
        with self.lock:
            self._acting = True

    def close(self) -> None:
        """Closes the connection; a looking link opens a new one at its next use."""
        with self.lock:
            self._connection.close()
            if self._acting and self._dead is None:
                self._dead = self._broken()

    def talk(self, commands: tuple[Command, ...]) -> Talk[Replies | NoAnswer]:
        """Sends a group by drive(); the caller holds `lock` until it is over. No command: only take over."""
        return Talk(self._connection, self._outcome(commands))

    def _outcome(self, commands: tuple[Command, ...]) -> Waits[Replies | NoAnswer]:
        if self._dead is not None:
            return self._dead
        try:
            return (yield from self._replies(commands))
        except NoAnswer as error:
            failure = error
        except TimeoutError:
            failure = NoAnswer(f"{self._instance} doesn't answer: {self._connection.awaited}")
        except OSError as error:
            failure = NoAnswer(f"{self._instance} doesn't answer: {error}")
        except Malformed as error:
            failure = NoAnswer(f"{self._instance} can't be used: {error}")
        self._connection.close()
        if self._acting:
            self._dead = failure if isinstance(failure, NotAllowed) else self._broken()
        return failure

    def _replies(self, commands: tuple[Command, ...]) -> Waits[Replies]:
        try:
            return (yield from self._once(commands))
        except ConnectionError:
            harmless = self._acting or only_reads(commands)
            if self._taken or not harmless or not self._connection.is_open:
                raise
        self._connection.close()
        return (yield from self._once(commands))

    def _once(self, commands: tuple[Command, ...]) -> Waits[Replies]:
        if not self._connection.is_open:
            yield from self._connection.open()
        if self._acting and not self._taken:
            yield from self._take_over()
            self._taken = True
        if not commands:
            return ()
        limit = LIST_LIMIT if LIST in commands else LIMIT
        replies = yield from self._connection.ask(commands, limit)
        return [checked(command, reply) for command, reply in zip(commands, replies, strict=True)]

    def _take_over(self) -> Waits[None]:
        # the name comes first: of two that take over at the same time, at least one sees the other
        named, killed = yield from self._connection.ask((SET_NAME, KILL_NAME), LIMIT)
        self._accept(SET_NAME, named)
        if not isinstance(killed, ServerError):
            return
        if killed.text != "ERR syntax error":
            self._accept(KILL_NAME, killed)
        # only Valkey 9.1 ends connections by name
        if self._user not in ("", "default"):
            kill = ("CLIENT", "KILL", "USER", self._user, "SKIPME", "yes")
            (killed,) = yield from self._connection.ask((kill,), LIMIT)
            self._accept(kill, killed)
        else:
            yield from self._kill_by_id()

    def _kill_by_id(self) -> Waits[None]:
        listed, own = yield from self._connection.ask((LIST, ID), LIST_LIMIT)
        self._accept(LIST, listed)
        self._accept(ID, own)
        others = [number for number in NAMED.findall(str(listed)) if number != str(own)]
        if others:
            kills = tuple(("CLIENT", "KILL", "ID", number) for number in others)
            for kill, reply in zip(kills, (yield from self._connection.ask(kills, LIMIT)), strict=True):
                self._accept(kill, reply)

    def _accept(self, command: Command, reply: object) -> None:
        """Raises unless the reply to a command of the take-over is a good one."""
        if not isinstance(reply, ServerError):
            return
        name = f"{command[0]} {command[1]}"
        if reply.text.startswith(("NOPERM", "ERR unknown")):
            raise NotAllowed(self._instance, name, reply.text)
        raise NoAnswer(f"{self._instance} can't be taken over: {name}: {reply.text}")

    def _broken(self) -> NoAnswer:
        return NoAnswer(
            f"the connection to {self._instance} broke: the instance went away, or another dictator took over"
        )


def only_reads(commands: tuple[Command, ...]) -> bool:
    """Whether the commands change nothing, so that they may be sent twice."""
    return all(READS & {str(command[0]), " ".join(map(str, command[:2]))} for command in commands)


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
    for name in NUMBERS:
        if not INTEGER.fullmatch(info.get(name, "0")):
            raise Malformed(f"{name} in its answer to INFO is not a number")
    if info.get("role", "master") not in ("master", "slave"):
        raise Malformed("role in its answer to INFO is neither master nor slave")
    return info
