"""Three real instances behind proxies, jobs from a zygote, and what has to hold when a run is over."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import redis

from redis_counter.tally import Outcomes, Tally, tally
from sandbox.process import wait_until
from sandbox.redis import RedisServer
from tests.dictator.proxy import InstanceProxy, Watch
from tests.dictator.zygote import Job, Result, Zygote

NAMES = ("a", "b", "c")
# the machine may be busy; nothing but a hang takes this long
PATIENCE = 60.0
FENCE = "127.0.0.1:0"
LEFTOVER = 1_000_000
# an instance that is killed loses nothing that it has acknowledged: what was written outlives the process in the kernel
PERSISTENT = {"appendonly": "yes", "appendfsync": "no"}
# and on the disk before it is acknowledged
DURABLE = {"appendonly": "yes", "appendfsync": "always"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one run: the tally, the dictator's answers, and what is wrong at the end, in words."""

    run: str
    tally: Tally
    answers: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    decided: bool = False

    def but(self, problem: str) -> "Outcome":
        """The same, with one more thing that is wrong."""
        return replace(self, stuck=(*self.stuck, problem))

    @property
    def problems(self) -> tuple[str, ...]:
        """All that must not be."""
        missing, phantom = self.tally.missing, self.tally.phantom
        lost = (f"{len(missing)} missing of {self.tally.acked}",) if missing else ()
        extra = (f"{len(phantom)} phantom",) if phantom else ()
        return tuple(f"{self.run}: {problem}; answers {self.answers}" for problem in (*lost, *extra, *self.stuck))


@dataclass
class Harness:
    """A context manager: the servers a, b and c of one flavour, their proxies, and the zygote."""

    directory: Path
    flavour: str
    config: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self.runs = 0
        try:
            self.servers = {
                name: RedisServer(self.directory / name, flavour=self.flavour, config=self.config) for name in NAMES
            }
            for server in self.servers.values():
                self._stack.callback(server.kill)
                server.start()
            self.proxies = {
                name: InstanceProxy(name, server.host, server.port) for name, server in self.servers.items()
            }
            for proxy in self.proxies.values():
                self._stack.callback(proxy.close)
            self.zygote = self._stack.enter_context(Zygote(self.directory))
            self.clients = {name: server.client(socket_timeout=10) for name, server in self.servers.items()}
            for client in self.clients.values():
                self._stack.callback(client.close)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # What is wanted, and what is

    def document(self, master: str, slaves: Iterable[str] | None = None) -> str:
        """The topology; all the others are slaves unless they are given."""
        others = [name for name in NAMES if name != master] if slaves is None else list(slaves)
        addresses = {name: {"address": proxy.host, "port": proxy.port} for name, proxy in self.proxies.items()}
        return json.dumps({"master": addresses[master], "slaves": [addresses[name] for name in others]})

    def info(self, name: str) -> dict[str, Any]:
        """INFO replication of an instance, asked directly."""
        info: dict[str, Any] = self.clients[name].info("replication")
        return info

    def setting(self, name: str, setting: str) -> int:
        """A setting of an instance that is a number."""
        return int(str(self.clients[name].config_get(setting)[setting]))

    def follows(self, slave: str, master: str) -> bool:
        """Whether it is linked to the master, at the proxy's address, and has its history."""
        info = self.info(slave)
        if info["role"] != "slave" or info["master_link_status"] != "up":
            return False
        same_history: bool = info["master_replid"] == self.info(master)["master_replid"]
        return same_history and bool(info["master_port"] == self.proxies[master].port)

    def wrong(self, master: str) -> list[str]:
        """What is not as `master` being the one and only master demands; empty when all is well."""
        faults = [] if self.info(master)["role"] == "master" else [f"{master} is no master"]
        for name in NAMES:
            info = self.info(name)
            if f"{info.get('master_host')}:{info.get('master_port')}" == FENCE:
                faults.append(f"{name} is parked")
            if self.setting(name, "min-replicas-to-write") >= LEFTOVER:
                faults.append(f"{name} is fenced by min-replicas-to-write")
            if name != master and not self.follows(name, master):
                faults.append(f"{name} doesn't follow {master}: {info}")
        return faults

    # Doing things

    def arrange(self, parents: Mapping[str, str | None]) -> None:
        """Makes each instance follow its parent (None: be master), behind the dictator's back, and waits for it."""
        for name, parent in parents.items():
            wait_until(partial(self._settled, name), f"{name} has all of its data on disk", PATIENCE)
            self.clients[name].execute_command("CLIENT", "UNPAUSE")
            self.clients[name].config_set("min-replicas-to-write", 0)
            if parent is None and self.info(name)["role"] != "master":
                self.clients[name].replicaof("NO", "ONE")
        for name, parent in parents.items():
            if parent is not None and not self.follows(name, parent):
                self.clients[name].replicaof("127.0.0.1", self.proxies[parent].port)
        for name, parent in parents.items():
            self.clients[name].config_rewrite()
            if parent is not None:
                wait_until(partial(self.follows, name, parent), f"{name} follows {parent}", PATIENCE)

    def _settled(self, name: str) -> bool:
        persistence = self.clients[name].info("persistence")
        return not (persistence["aof_rewrite_in_progress"] or persistence["aof_rewrite_scheduled"])

    def apply(self, document: str, *, force: bool = False, **settings: float) -> Job:
        """Starts a dictator that applies the document."""
        return self.zygote.job(job="apply", document=document, force=force, settings={**self.settings, **settings})

    def converge(self, document: str, answers: list[str]) -> None:
        """Applies until the answer is 200, as the observer does: what is refused for good is not tried again."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            result = self.apply(document).result(PATIENCE)
            answers.append(f"{result['status']} {result['line']}".strip())
            if result["status"] in (200, 400, 409, 500):
                return
            time.sleep(0.05)

    def watch(self, gate: Watch | None) -> None:
        """Has a gate watch what the dictator sends."""
        for proxy in self.proxies.values():
            proxy.watch = gate

    def write(self, key: str, *, writers: int = 1, interval: float = 0.0005) -> "Writers":
        """Starts writers that know all addresses, and write to whichever takes it."""
        addresses = [(server.host, server.port) for server in self.servers.values()]
        return Writers(
            [self.zygote.job(job="write", key=key, interval=interval, addresses=addresses) for _ in range(writers)], key
        )

    def grows(self, name: str, key: str, by: int = 3) -> None:
        """Waits until the instance has taken a few more writes: TimeoutError where it is not writable."""
        before = self.clients[name].llen(key)
        wait_until(lambda: self.clients[name].llen(key) >= before + by, f"{name} takes writes", PATIENCE)

    def agree(self, key: str) -> bool:
        """Whether all three hold lists of the same length."""
        return len({self.clients[name].llen(key) for name in NAMES}) == 1

    def judge(self, run: str, master: str, writers: "Writers", answers: list[str], *, decided: bool = False) -> Outcome:
        """Waits until all is as `master` demands and writable, ends the writers, and compares."""
        stuck: list[str] = []
        try:
            wait_until(lambda: not self.wrong(master), "everything follows the master", 5)
        except TimeoutError:
            stuck += self.wrong(master)
        stuck += self._complaint(lambda: self.grows(master, writers.key))
        outcomes = writers.finish()
        if not stuck:
            stuck += self._complaint(lambda: wait_until(lambda: self.agree(writers.key), "the copies agree", PATIENCE))
        stored = [str(value) for value in self.clients[master].lrange(writers.key, 0, -1)]
        verdict = tally(outcomes, stored)
        if not stuck:
            self.clients[master].delete(writers.key)
        return Outcome(run, verdict, tuple(answers), tuple(stuck), decided)

    @staticmethod
    def _complaint(wait: Callable[[], None]) -> list[str]:
        try:
            wait()
        except (TimeoutError, redis.RedisError) as error:
            return [str(error)]
        return []


class Writers:
    """Writers under way."""

    def __init__(self, jobs: list[Job], key: str) -> None:
        self.key = key
        self._jobs = jobs

    def finish(self) -> Outcomes:
        """Tells all to stop; what became of their writes."""
        for job in self._jobs:
            job.stop()
        results: list[Result] = [job.result(PATIENCE) for job in self._jobs]
        return Outcomes(
            *(tuple(value for result in results for value in result[kind]) for kind in ("acked", "refused", "unknown"))
        )
