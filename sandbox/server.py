"""What all servers of the sandbox have in common: a process, and a check that it answers."""

from abc import ABC, abstractmethod
from typing import Self

from sandbox.process import Process


class Server(ABC):
    """A process that is ready when it answers. As a context manager it is started and stopped."""

    name: str
    process: Process

    @abstractmethod
    def answers(self) -> bool:
        """Whether it answers now. Returns False rather than raise if it doesn't."""

    @property
    def running(self) -> bool:
        """Whether the process exists, whether or not it answers."""
        return self.process.running

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        return self.process.pid

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait`, return once it answers."""
        self.process.start()
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout: float = 30) -> None:
        """Return once it answers; ProcessError with the log's tail if it ends or takes too long."""
        self.process.wait_until(self.answers, f"{self.name} answers", timeout)

    def stop(self, timeout: float = 30) -> None:
        """End it with SIGTERM, as `docker stop` does. A redis whose slaves lag waits for them, for up to 10 s."""
        self.process.stop(timeout)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()

    def pause(self) -> None:
        """Stop it with SIGSTOP: its sockets stay open and don't answer."""
        self.process.pause()

    def resume(self) -> None:
        """Continue it after a pause."""
        self.process.resume()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
