"""A Link to a real instance. A looking one may reopen its connection; an acting one takes over, and never does."""

from threading import Lock

from dictator.connection import Access, Connection
from dictator.conversation import Talk, Waits, drive
from dictator.instance import Instance
from dictator.link import Command, NoAnswer, NotAllowed, Replies
from dictator.replies import checked
from dictator.resp import Malformed
from dictator.takeover import take_over

# the bytes of a group's replies: INFO of a large server takes tens of KiB
LIMIT = 1 << 20
# what only reads, by the first word or the first two
READS = frozenset(
    {"INFO", "PING", "GET", "EXISTS", "DBSIZE", "CONFIG GET", "PUBSUB NUMSUB", "CLIENT LIST", "CLIENT ID"}
)


class RedisLink:
    """A Link over one connection. Any thread may use it.

    While it is looking, a group that only reads is sent once more, over a new connection, if the old one has broken:
    another dictator may have ended it. Any other group is not: so no command reaches an instance that has restarted
    since it was last asked, and that may be a master with writes of its own by now.
    """

    def __init__(
        self, instance: Instance, access: Access, *, acting: bool = False, connection: Connection | None = None
    ) -> None:
        self.lock = Lock()
        self._instance = instance
        self._user = access.username
        self._connection = connection or Connection(instance, access)
        self._acting = acting
        self._only_read = False
        self._taken = False
        self._dead: NoAnswer | None = None

    def send(self, *commands: Command) -> Replies:
        """See Link."""
        with self.lock:
            talk = self.talk(commands)
            drive([talk])
            if isinstance(talk.result, NoAnswer):
                raise talk.result.with_traceback(None)
            return talk.result

    def only_read(self) -> None:
        """Makes the link one that never acts: whatever could change something is not sent."""
        with self.lock:
            self._only_read = True

    def act(self) -> None:
        """Makes the link acting, unless it may only read: its next use takes over, and it isn't reopened after that.

        That is over a new connection: a kept one may lead to what was at this address before.
        """
        with self.lock:
            if self._only_read:
                return
            self._acting = True
            self._connection.close()

    def close(self) -> None:
        """Closes the connection; a looking link opens a new one at its next use."""
        with self.lock:
            self._connection.close()
            if self._acting and self._dead is None:
                self._dead = self._broken()

    def release(self) -> Connection | None:
        """The connection, if somebody else may look through it; else it is closed. The link is not used any more."""
        with self.lock:
            if not self._acting and self._connection.is_idle:
                return self._connection
            self._connection.close()
            return None

    def talk(self, commands: tuple[Command, ...]) -> Talk[Replies | NoAnswer]:
        """Sends a group by drive(); the caller holds `lock` until it is over. No command: only take over."""
        return Talk(self._connection, self._outcome(commands))

    def _outcome(self, commands: tuple[Command, ...]) -> Waits[Replies | NoAnswer]:
        if self._dead is not None:
            return self._dead
        if self._only_read and not only_reads(commands):
            return NoAnswer(f"{self._instance} belongs to another cluster")
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
            yield from take_over(self._connection, self._instance, self._user)
            self._taken = True
        if not commands:
            return ()
        replies = yield from self._connection.ask(commands, LIMIT)
        return [checked(command, reply) for command, reply in zip(commands, replies, strict=True)]

    def _broken(self) -> NoAnswer:
        return NoAnswer(
            f"the connection to {self._instance} broke: the instance went away, or another dictator took over"
        )


def only_reads(commands: tuple[Command, ...]) -> bool:
    """Whether the commands change nothing, so that they may be sent twice."""
    return all(READS & {str(command[0]), " ".join(map(str, command[:2]))} for command in commands)
