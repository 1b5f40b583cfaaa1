"""Applies a topology: resolve, observe, plan, take over, execute; again until nothing is left to do. One at a time."""

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from dictator.execute import Executor
from dictator.idle import IdleConnections
from dictator.instance import Instance
from dictator.lineage import Claim
from dictator.link import NotAllowed, Runtime
from dictator.observation import Skipped
from dictator.observe import observe
from dictator.plan import Plan, plan
from dictator.receipt import Receipt
from dictator.runtime import RedisRuntime
from dictator.settings import Settings
from dictator.state import ClusterState
from dictator.status import describe
from safe_redis.errors import DocumentError, Refused, Unavailable, Unresolved
from safe_redis.fairlock import FairLock
from safe_redis.srv import Resolver
from safe_redis.topology import Address, Topology, names_one_host

log = logging.getLogger(__name__)

# plans may change under way (a lifted instance, a write that came between), but not without end
ROUNDS = 6
# this many instances are asked at the same time
WIDTH = 64


class Planner:
    """Plans with what a run may write: the cluster's name, and the lineage's id, remembered once it was read."""

    def __init__(self, cluster: str, planner: Callable[..., Plan] = plan) -> None:
        self._cluster = cluster
        self._planner = planner
        # of a lineage whose record is erased (FLUSHALL), the id goes on
        self._id = uuid.uuid4().hex

    def plan(self, state: ClusterState, clock: int, *, force: bool) -> Plan:
        """See dictator.plan.plan; `clock` in ms since 1970."""
        made = self._planner(state, Claim(self._cluster, self._id, clock), force=force)
        self._id = made.lineage_id
        return made


def converge(
    runtime: Runtime,
    settings: Settings,
    look: Callable[[], ClusterState],
    receipt: Receipt,
    planner: Planner,
    *,
    force: bool,
) -> None:
    """Observes (by `look`), plans and executes until a plan is done; the receipt says what it took.

    Before the first change, every other dictator's connections are ended, and everything is observed again: what was
    planned before may have been overtaken by what another one had on the way.
    """

    def make_plan(state: ClusterState) -> Plan:
        return planner.plan(state, runtime.clock(), force=force)

    acting = False
    for _ in range(ROUNDS):
        state, made = _observe_and_plan(look, receipt, make_plan)
        _note_plan(receipt, made)
        if not made.steps:
            return
        if not acting:
            _take_over(runtime, state, receipt)
            acting = True
        elif Executor(runtime, settings, receipt).run(made):
            return
    raise Unavailable(f"the instances kept changing: {ROUNDS} plans were abandoned")


def _observe_and_plan(
    look: Callable[[], ClusterState], receipt: Receipt, make_plan: Callable[[ClusterState], Plan]
) -> tuple[ClusterState, Plan]:
    state = _observe(look, receipt)
    try:
        return state, make_plan(state)
    except Refused:
        # instances are not observed in one moment: a switch that is under way may look like a lost disk
        state = _observe(look, receipt)
        return state, make_plan(state)


def _observe(look: Callable[[], ClusterState], receipt: Receipt) -> ClusterState:
    started = time.perf_counter()
    state = look()
    _note(receipt, "observe", f"observe {len(state.listed)} instances", started)
    for observed in state.everyone:
        log.info("observed %s", observed)
    return state


def _note_plan(receipt: Receipt, made: Plan) -> None:
    log.info("planned %d steps; the data of %s survives", len(made.steps), made.source)
    for text in made.discarded:
        log.warning("discards, being forced: %s", text)
    receipt.source = str(made.source)
    receipt.left_out = [str(skipped) for skipped in made.left_out]
    receipt.discarded = list(dict.fromkeys((*receipt.discarded, *made.discarded)))


def _take_over(runtime: Runtime, state: ClusterState, receipt: Receipt) -> None:
    """Ends the connections of all other dictators at every instance that was reached."""
    started = time.perf_counter()
    failed = runtime.take_over([observed.instance for observed in state.everyone])
    for instance, error in failed.items():
        if isinstance(error, NotAllowed):
            raise Refused(f"{error}. The smallest rule that works is in docs/security.md")
        log.warning("could not take over %s: %s", instance, error)
    _note(receipt, "takeover", f"end other dictators' connections to {len(state.everyone)} instances", started)


def _note(receipt: Receipt, step: str, what: str, started: float) -> None:
    ms = (time.perf_counter() - started) * 1000
    receipt.add(step, what, ms, {})
    log.info("%s: %.2f ms", what, ms)


def _check_size(topology: Topology, limit: int) -> None:
    if len(topology.instances) > limit:
        raise DocumentError(f"the document names {len(topology.instances)} instances, MAX_INSTANCES is {limit}")


class Dictator:
    """Makes the instances be what a topology says. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._resolver = Resolver(
            settings.nameservers, settings.nameservers_port, settings.searchlist, settings.resolve_timeout
        )
        self._pool = ThreadPoolExecutor(WIDTH, thread_name_prefix="instance")
        self._idle = IdleConnections()
        self._lock = FairLock(settings.turn_timeout)
        self._planner = Planner(settings.cluster)
        self.applied: Topology | None = None

    def apply(self, topology: Topology, *, force: bool = False, admit: Callable[[], None] = lambda: None) -> Receipt:
        """Applies the topology and says what was done. Raises a TopologyError where it could not.

        `admit` is called when its turn has come, and may refuse it.
        """
        _check_size(topology, self._settings.max_instances)
        with self._lock.turn():
            admit()
            started = time.perf_counter()
            receipt = Receipt(master=str(topology.master))
            self._converge(topology, receipt, force=force)
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

    def _converge(self, topology: Topology, receipt: Receipt, *, force: bool) -> None:
        started = time.perf_counter()
        master, slaves, left_out = self._resolve(topology)
        _note(receipt, "resolve", f"resolve {len(topology.instances)} names", started)
        with RedisRuntime(self._settings, self._pool, self._idle) as runtime:
            converge(
                runtime,
                self._settings,
                lambda: observe(runtime, master, slaves, left_out),
                receipt,
                self._planner,
                force=force,
            )

    def dry_run(self, topology: Topology, *, force: bool = False) -> list[str]:
        """The steps that apply() would take now, one line each; touches nothing, and waits for nobody."""
        _check_size(topology, self._settings.max_instances)
        with RedisRuntime(self._settings, self._pool, self._idle) as runtime:
            made = self._planner.plan(observe(runtime, *self._resolve(topology)), runtime.clock(), force=force)
        lines = [str(step) for step in made.steps] or ["nothing to do"]
        lines += [f"leaves out {skipped}" for skipped in made.left_out]
        return lines + [f"discards {text}" for text in made.discarded]

    def _resolve(self, topology: Topology) -> tuple[Instance, tuple[Instance, ...], tuple[Skipped, ...]]:
        """Where the wanted master and its slaves listen, and which can't be found; Unresolved for the master."""
        master, *slaves = self._find_all(topology.instances)
        if isinstance(master, Skipped):
            raise Unresolved(f"the wanted master can't be found: {master.reason}")
        located = tuple(slave for slave in slaves if isinstance(slave, Instance))
        return master, located, tuple(slave for slave in slaves if isinstance(slave, Skipped))

    def _find_all(self, addresses: Sequence[Address]) -> list[Instance | Skipped]:
        """All of them, in their order; names are looked up in parallel."""
        names = [address for address in addresses if not address.is_ip]
        looked_up = dict(zip(names, self._pool.map(self._find, names), strict=True))
        return [looked_up.get(address) or self._find(address) for address in addresses]

    def _find(self, address: Address) -> Instance | Skipped:
        """Where it listens. Several records of one name are refused: one is stale, and may lead to another's data."""
        name = str(address)
        if address.is_ip:
            return Instance(name, address.address, address.port_or_default)
        try:
            endpoints = self._resolver.endpoints(address.address)
        except Unresolved as error:
            return Skipped(name, str(error))
        places = sorted({(endpoint.host, address.port or endpoint.port) for endpoint in endpoints})
        if len(places) > 1:
            listed = ", ".join(str(Instance(host, host, port)) for host, port in places)
            return Skipped(name, f"has {len(places)} SRV records with different addresses: {listed}; one is stale")
        (host, port) = places[0]
        if not names_one_host(host):
            return Skipped(name, f"its SRV record leads to {host}, which is not the address of one host")
        return Instance(name, host, port)

    @property
    def settings(self) -> Settings:
        """What it was made with."""
        return self._settings

    def check(self) -> None:
        """Unresolved where no name server answers."""
        self._resolver.check()

    def state(self) -> dict[str, object]:
        """The topology that was applied last, and what its instances say of themselves now."""
        if self.applied is None:
            return {"topology": None, "instances": []}
        with RedisRuntime(self._settings, self._pool, self._idle) as runtime:
            instances = self._find_all(self.applied.instances)
            return {"topology": self.applied, "instances": describe(runtime, instances)}
