"""A real redis server in a directory of its own: config file, data and log."""

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sandbox import binaries
from sandbox.process import Process, ProcessError, free_port
from sandbox.server import Server

DEFAULTS: Mapping[str, str] = {
    "appendonly": "no",
    "save": '""',
    "repl-diskless-sync-delay": "0",
}


class RedisServer(Server):
    """A server that can be restarted, also under another port, as a container is.

    Its redis.conf is written once, so that the changes of CONFIG REWRITE survive restarts; the
    port is given on the command line. `config` overrides DEFAULTS, which keep no data on disk.
    """

    def __init__(
        self,
        directory: Path,
        *,
        flavour: str = "redis-7.0",
        host: str = "127.0.0.1",
        port: int | None = None,
        config: Mapping[str, str] | None = None,
    ) -> None:
        self.name = directory.name
        self.directory = directory.resolve()
        self.host = host
        self.port = port or free_port()
        self._binary = binaries.redis_server(flavour)
        self._config = {**DEFAULTS, **(config or {})}
        self._config_file = self.directory / "redis.conf"
        self._data = self.directory / "data"
        self.process = self._process()

    def _process(self) -> Process:
        argv = [self._binary, self._config_file, "--port", str(self.port)]
        # it refuses SIGTERM while it writes its first append-only file after a full copy
        return Process([str(word) for word in argv], log=self.directory / "log", ask_every=1)

    @property
    def address(self) -> str:
        """`host:port`, with an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait`, return once its data is loaded and it answers."""
        self.write_config()
        super().start(wait=wait)

    def write_config(self) -> None:
        """Write redis.conf unless it exists: CONFIG REWRITE may have changed it."""
        self._data.mkdir(parents=True, exist_ok=True)
        if not self._config_file.exists():
            settings = {"bind": self.host, "dir": str(self._data), **self._config}
            lines = [f"{name} {value}\n" for name, value in settings.items()]
            self._config_file.write_text("".join(lines))

    def answers(self) -> bool:
        """Whether it answers PING, if only by asking for a password. False while it is loading its data."""
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                answer = connection.recv(64)
        except OSError:
            return False
        return bool(answer) and not answer.startswith(b"-LOADING")

    def move(self, port: int) -> None:
        """Set the port of the next start. Only while stopped."""
        self._only_stopped("move")
        self.port = port
        self.process = self._process()

    def install(self, flavour: str) -> None:
        """Set the flavour of the next start, which keeps its data and config. Only while stopped."""
        self._only_stopped("upgrade")
        self._binary = binaries.redis_server(flavour)
        self.process = self._process()

    def restart(self, port: int | None = None) -> None:
        """Stop it if it runs, start it on its data and config, under `port` if given."""
        self.stop()
        self.move(port or self.port)
        self.start()

    def wipe(self) -> None:
        """Delete the data and keep the config, as if the data volume were lost. Only while stopped."""
        self._only_stopped("wipe")
        shutil.rmtree(self._data)

    def _only_stopped(self, verb: str) -> None:
        if self.running:
            raise ProcessError(f"can't {verb} {self.address} while it runs")

    def client(self, **options: Any) -> "redis.Redis":
        """A client without retries that gives up after a second; `options` override."""
        settings: dict[str, Any] = {
            "decode_responses": True,
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": 1,
            "socket_timeout": 1,
        }
        return redis.Redis(host=self.host, port=self.port, **(settings | options))
