"""What the fleet units of nodes and services have in common: a new port, a record, a trigger."""

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
    """What the cluster gives to a unit."""

    keys: Keys
    registrator: Registrator

    def trigger(self, who: str) -> None:
        """Have the topology applied; every value is another one."""
        self.keys.put(TRIGGER, f"{who} {datetime.now(UTC).isoformat()}")


class Unit(Server):
    """Each start is under a new port, as a container's published port is; and in this order.

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
        """Give the next start a port and a process."""

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
            # As fleet's units: one whose ExecStartPost fails doesn't stay up.
            self.stop()
            raise ProcessError(f"{self.name} could not write the trigger: {error}") from error

    def stop(self, timeout: float = 30) -> None:
        """Stop it in good order: its record goes with it."""
        super().stop(timeout)
        self._around.registrator.deregister(self.service, self.instance)
