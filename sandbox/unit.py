"""What the fleet units of nodes and services do in common: use a new port, get registered, write the trigger."""

from abc import abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime

from sandbox.keys import Keys, KeysError
from sandbox.process import ProcessError
from sandbox.registrator import Registrator
from sandbox.server import Server

HOST = "127.0.0.1"
TOPOLOGY = "/config/redis-1/topology"
TRIGGER = "/config/redis-1/topology-trigger"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a unit uses of the cluster around it."""

    keys: Keys
    registrator: Registrator

    def trigger(self, who: str) -> None:
        """Write the trigger, so that the topology is applied. Every value differs from the last."""
        self.keys.put(TRIGGER, f"{who} {datetime.now(UTC).isoformat()}")


class Unit(Server):
    """Gets a new port at each start, as a container's published port does.

    The trigger is written as soon as the process exists, before it answers and before it is
    registered: `ExecStartPost` waits for neither.
    """

    def __init__(self, name: str, service: str, instance: str, around: Surroundings) -> None:
        self.name = name
        self.service = service
        self.instance = instance
        self.port = 0
        self._around = around

    @abstractmethod
    def renew(self) -> None:
        """Prepare the next start: a new port, and a process that will use it."""

    def start(self, *, wait: bool = True) -> None:
        """Start it under a new port; with `wait`, return once it answers."""
        if self.running:
            raise ProcessError(f"{self.name} is running already")
        self.renew()
        process = self.process
        process.start()
        self._around.registrator.register(self.service, self.instance, HOST, self.port, lambda: process.running)
        self._trigger()
        if wait:
            self.wait_ready()

    def _trigger(self) -> None:
        try:
            self._around.trigger(self.name)
        except KeysError as error:
            # as with fleet's units: if ExecStartPost fails, the unit is stopped
            self.stop()
            raise ProcessError(f"{self.name} could not write the trigger: {error}") from error

    def stop(self, timeout: float = 30) -> None:
        """Stop it, and delete its record."""
        super().stop(timeout)
        self._around.registrator.deregister(self.service, self.instance)
