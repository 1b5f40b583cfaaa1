"""Applies a topology: resolve, observe, plan, execute, and again until nothing is left to do. One apply at a time."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dictator.execute import Executor
from dictator.link import Runtime
from dictator.observation import Instance, Skipped
from dictator.observe import look, observe
from dictator.plan import Plan, plan
from dictator.receipt import Receipt
from dictator.runtime import RedisRuntime
from dictator.settings import Settings
from dictator.source import ClusterState
from dictator.steps import told
from safe_redis.errors import TopologyError, Unavailable, Unresolved
from safe_redis.fairlock import FairLock
from safe_redis.srv import Resolver
from safe_redis.topology import Address, Topology

log = logging.getLogger(__name__)

# plans may change under way (a lifted instance, a write that came between), but not without end
ROUNDS = 6
# this many instances are asked at the same time
WIDTH = 64


def converge(
    runtime: Runtime,
    settings: Settings,
    look: Callable[[], ClusterState],
    receipt: Receipt,
    *,
    force: bool,
    planner: Callable[..., Plan] = plan,
) -> None:
    """Observes (by `look`), plans and executes until a plan is done; the receipt says what it took."""
    for _ in range(ROUNDS):
        started = time.perf_counter()
        seen = look()
        _note(receipt, "observe", f"observe {len(seen.listed)} instances", started)
        for each in (*seen.listed, *seen.outside):
            log.info("observed %s", each)
        made = planner(seen, force=force)
        log.info("planned %d steps; the data of %s survives", len(made.steps), made.source)
        for text in made.discarded:
            log.warning("discards, being forced: %s", text)
        receipt.source = str(made.source)
        receipt.left_out = [str(each) for each in made.left_out]
        receipt.discarded = list(dict.fromkeys((*receipt.discarded, *made.discarded)))
        if Executor(runtime, settings, receipt).run(made):
            return
    raise Unavailable(f"the instances kept changing: {ROUNDS} plans were abandoned")


def _note(receipt: Receipt, step: str, what: str, started: float) -> None:
    ms = (time.perf_counter() - started) * 1000
    receipt.add(step, what, ms, {})
    log.info("%s: %.2f ms", what, ms)


class Dictator:
    """Makes the instances be what a topology says. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._resolver = Resolver(
            settings.nameservers, settings.nameservers_port, settings.searchlist, settings.resolve_timeout
        )
        self._pool = ThreadPoolExecutor(WIDTH, thread_name_prefix="instance")
        self._lock = FairLock(settings.turn_timeout)
        self.applied: Topology | None = None

    def apply(self, topology: Topology, *, force: bool = False, admit: Callable[[], None] = lambda: None) -> Receipt:
        """Applies the topology and says what was done. Raises a TopologyError where it could not.

        `admit` is called when its turn has come, and may refuse it.
        """
        with self._lock.turn():
            admit()
            started = time.perf_counter()
            receipt = Receipt(master=str(topology.master))
            self._rounds(topology, receipt, force=force)
            receipt.duration_ms = round((time.perf_counter() - started) * 1000, 3)
            self.applied = topology
            log.info(
                "applied master %s: %s in %.1f ms, window %s ms%s",
                receipt.master,
                "changed" if receipt.changed else "unchanged",
                receipt.duration_ms,
                receipt.window_ms,
                f"; {receipt.open}" if receipt.open else "",
            )
            return receipt

    def _rounds(self, topology: Topology, receipt: Receipt, *, force: bool) -> None:
        started = time.perf_counter()
        master, slaves, left_out = self._resolve(topology)
        _note(receipt, "resolve", f"resolve {len(topology.instances)} names", started)
        with RedisRuntime(self._settings, self._pool) as runtime:
            converge(runtime, self._settings, lambda: observe(runtime, master, slaves, left_out), receipt, force=force)

    def dry_run(self, topology: Topology, *, force: bool = False) -> list[str]:
        """The steps that apply() would take now, one line each; touches nothing, and waits for nobody."""
        with RedisRuntime(self._settings, self._pool) as runtime:
            made = plan(observe(runtime, *self._resolve(topology)), force=force)
        lines = [told(step) for step in made.steps] or ["nothing to do"]
        lines += [f"leaves out {each}" for each in made.left_out]
        return lines + [f"discards {text}" for text in made.discarded]

    def _resolve(self, topology: Topology) -> tuple[Instance, tuple[Instance, ...], tuple[Skipped, ...]]:
        """Where the wanted master and its slaves listen, and who can't be found; Unresolved for the master."""
        master, *slaves = self._pool.map(self._find, topology.instances)
        if isinstance(master, Skipped):
            raise Unresolved(f"the wanted master can't be found: {master.reason}")
        found = tuple(each for each in slaves if isinstance(each, Instance))
        return master, found, tuple(each for each in slaves if isinstance(each, Skipped))

    def _find(self, address: Address) -> Instance | Skipped:
        try:
            endpoint = self._resolver.endpoint(address)
        except Unresolved as error:
            return Skipped(str(address), str(error))
        return Instance(address.address, endpoint.host, endpoint.port)

    def state(self) -> dict[str, object]:
        """The topology that was applied last, and what its instances say of themselves now."""
        if self.applied is None:
            return {"topology": None, "instances": []}
        with RedisRuntime(self._settings, self._pool) as runtime:
            found = list(self._pool.map(self._find, self.applied.instances))
            # the master last, or a slave of one that takes writes would seem to be ahead of it
            slaves = list(self._pool.map(lambda each: _told(runtime, each), found[1:]))
            master = _told(runtime, found[0])
        return {"topology": self.applied, "instances": [master, *(_with_lag(each, master) for each in slaves)]}


def _with_lag(slave: dict[str, object], master: dict[str, object]) -> dict[str, object]:
    """A slave's state with the bytes that it is behind the master; None where their histories can't be compared."""
    match slave, master:
        case {"replid": mine, "offset": int(have)}, {"replid": its, "offset": int(offset)} if mine == its:
            return {**slave, "lag": offset - have}
    return {**slave, "lag": None}


def _told(runtime: Runtime, instance: Instance | Skipped) -> dict[str, object]:
    if isinstance(instance, Skipped):
        return {"instance": instance.name, "error": instance.reason}
    try:
        found = look(runtime.link(instance), instance)
    except TopologyError as error:
        return {"instance": str(instance), "error": str(error)}
    rep = found.replication
    return {
        "instance": str(instance),
        "role": "master" if rep.master else "slave",
        "parked": rep.parked,
        "following": None if rep.following is None else "{}:{}".format(*rep.following),
        "link": "up" if rep.link_up else "syncing" if rep.syncing else None if rep.master else "down",
        "offset": rep.history.offset,
        "replid": rep.history.replid,
        "keys": found.keys,
        "loading": found.loading,
        "run_id": found.run_id,
        "version": f"{'valkey' if found.valkey else 'redis'} {'.'.join(map(str, found.version))}",
        "min_replicas_to_write": found.min_replicas,
    }
