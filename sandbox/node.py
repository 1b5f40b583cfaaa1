"""A node: a redis on a cluster host, under its name."""

from collections.abc import Mapping
from pathlib import Path

from sandbox.process import free_port
from sandbox.redis import RedisServer
from sandbox.unit import HOST, Surroundings, Unit

SERVICE = "redis-1"

# As in the image of the nodes: data is kept, and slaves catch up without waiting for others.
CONFIG: Mapping[str, str] = {"appendonly": "yes", "repl-diskless-sync-delay": "0"}


class Node(Unit):
    """Its data and what CONFIG REWRITE wrote survive every stop."""

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
        """A new port for redis."""
        self.port = free_port()
        self.redis.move(self.port)
        self.redis.write_config()
        self.process = self.redis.process

    def answers(self) -> bool:
        """Whether its redis answers."""
        return self.redis.answers()
