"""A node: redis on a host of the cluster, under the host's name."""

from collections.abc import Mapping
from pathlib import Path

from sandbox.process import free_port
from sandbox.redis import RedisServer
from sandbox.unit import HOST, Surroundings, Unit

SERVICE = "redis-1"

# As in the node image: data is kept on disk, and a full resync starts without waiting for more slaves.
# But with everysec, redis keeps writes in its memory for up to 2 s while an fsync takes its time, and a node that is
# killed on a busy machine loses them, whatever we do. With no, they are in the kernel before they are acknowledged.
CONFIG: Mapping[str, str] = {"appendonly": "yes", "appendfsync": "no", "repl-diskless-sync-delay": "0"}


class Node(Unit):
    """Its data and its configuration, with the changes of CONFIG REWRITE, survive every stop."""

    def __init__(
        self,
        name: str,
        directory: Path,
        around: Surroundings,
        *,
        flavour: str,
        config: Mapping[str, str],
    ) -> None:
        super().__init__(name, SERVICE, name, around)
        self.redis = RedisServer(directory, host=HOST, flavour=flavour, config={**CONFIG, **config})
        self.process = self.redis.process

    @property
    def address(self) -> str:
        """The name that a topology document uses."""
        return f"{self.name}.{SERVICE}.docker"

    def renew(self) -> None:
        """Give redis a new port."""
        self.port = free_port()
        self.redis.move(self.port)
        self.redis.write_config()
        self.process = self.redis.process

    def answers(self) -> bool:
        """Whether its redis answers."""
        return self.redis.answers()
