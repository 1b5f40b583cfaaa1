"""Applies a topology: resolve, observe, plan, take over, execute; again until nothing is left to do. One at a time."""

import logging
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dictator.execute import Executor
from dictator.idle import IdleConnections
from dictator.lineage import Claim
from dictator.link import NotAllowed, Runtime
from dictator.locate import Locator
from dictator.narration import Narration
from dictator.observe import observe
from dictator.plan import Plan, plan
from dictator.receipt import Receipt
from dictator.runtime import RedisRuntime
from dictator.settings import Settings
from dictator.state import ClusterState, foreign
from dictator.status import describe
from safe_redis.early import Hint
from safe_redis.errors import DocumentError, Refused, Unavailable
from safe_redis.fairlock import FairLock
from safe_redis.repeats import OUTCOME, Repeats
from safe_redis.topology import Topology

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
    observe_all: Callable[[], ClusterState],
    receipt: Receipt,
    planner: Planner,
    *,
    narration: Narration,
    force: bool,
    tell: Callable[[Hint], None],
) -> None:
    """Observes (by `observe_all`), plans and executes until a plan is done; receipt and narration say what it took.

    Before the first change, every other dictator's connections are ended, and everything is observed again: what was
    planned before may have been overtaken by what another one had on the way.
    """
    acting = False
    for _ in range(ROUNDS):
        state, made = _observe_and_plan(
            observe_all, receipt, narration, lambda state: planner.plan(state, runtime.clock(), force=force)
        )
        _note_plan(receipt, narration, made)
        if not made.steps:
            return
        if not acting:
            _take_over(runtime, state, settings.cluster, receipt, narration)
            acting = True
        elif Executor(runtime, settings, receipt, tell).run(made):
            return
    raise Unavailable(f"the instances kept changing: {ROUNDS} plans were abandoned")


def _observe_and_plan(
    observe_all: Callable[[], ClusterState],
    receipt: Receipt,
    narration: Narration,
    make_plan: Callable[[ClusterState], Plan],
) -> tuple[ClusterState, Plan]:
    state = _observe(observe_all, receipt, narration)
    try:
        return state, make_plan(state)
    except Refused:
        # instances are not observed in one moment: a switch that is under way may look like a lost disk
        state = _observe(observe_all, receipt, narration)
        return state, make_plan(state)


def _observe(observe_all: Callable[[], ClusterState], receipt: Receipt, narration: Narration) -> ClusterState:
    started = time.perf_counter()
    state = observe_all()
    _note(receipt, narration, "observe", f"observe {len(state.listed)} instances", started)
    narration.saw(state.everyone)
    return state


def _note_plan(receipt: Receipt, narration: Narration, made: Plan) -> None:
    narration.say("planned %d steps; the data of %s survives", len(made.steps), made.source)
    for text in made.discarded:
        log.warning("discards, being forced: %s", text)
    receipt.source = str(made.source)
    receipt.left_out = [str(skipped) for skipped in made.left_out]
    receipt.discarded = list(dict.fromkeys((*receipt.discarded, *made.discarded)))


def _take_over(runtime: Runtime, state: ClusterState, cluster: str, receipt: Receipt, narration: Narration) -> None:
    """Ends the connections of all other dictators at every instance that was reached, but those of other clusters."""
    started = time.perf_counter()
    spared = foreign(state, cluster)
    ours = [observed.instance for observed in state.everyone if observed.instance not in spared]
    failed = runtime.take_over(ours, spared)
    for instance, error in failed.items():
        if isinstance(error, NotAllowed):
            raise Refused(f"{error}. The smallest rule that works is in docs/security.md")
        log.warning("could not take over %s: %s", instance, error)
    what = f"end other dictators' connections to {len(ours)} instances"
    _note(receipt, narration, "takeover", what, started)
    narration.speak_up()


def _note(receipt: Receipt, narration: Narration, step: str, what: str, started: float) -> None:
    ms = (time.perf_counter() - started) * 1000
    receipt.add(step, what, ms, {})
    narration.say("%s: %.2f ms", what, ms)


def _check_size(topology: Topology, limit: int) -> None:
    if len(topology.instances) > limit:
        raise DocumentError(f"the document names {len(topology.instances)} instances, MAX_INSTANCES is {limit}")


class Dictator:
    """Makes the instances be what a topology says. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(WIDTH, thread_name_prefix="instance")
        self._locator = Locator(settings, self._pool)
        self._idle = IdleConnections()
        self._lock = FairLock(settings.turn_timeout)
        self._planner = Planner(settings.cluster)
        self.applied: Topology | None = None
        self.repeats = Repeats(log)

    def apply(
        self,
        topology: Topology,
        *,
        force: bool = False,
        repeat: bool = False,
        admit: Callable[[], None] = lambda: None,
        tell: Callable[[Hint], None] = lambda _: None,
    ) -> Receipt:
        """Applies the topology and says what was done. Raises a TopologyError where it could not.

        `admit` is called when its turn has come, and may refuse it. `tell` is called before a handover begins, and as
        soon as the wanted master is the one that takes writes, while the slaves are still on their way to it. A
        `repeat` is logged only if it changes something, or ends otherwise than the last apply.
        """
        _check_size(topology, self._settings.max_instances)
        with self._lock.turn():
            admit()
            started = time.perf_counter()
            receipt = Receipt(master=str(topology.master))
            self._converge(topology, receipt, force=force, repeat=repeat, tell=tell)
            receipt.duration_ms = round((time.perf_counter() - started) * 1000, 3)
            self.applied = topology
            self._say_outcome(receipt, repeat=repeat)
            return receipt

    def _say_outcome(self, receipt: Receipt, *, repeat: bool) -> None:
        changed = "changed" if receipt.changed else "unchanged"
        line = f"applied master {receipt.master}: {changed} in {receipt.duration_ms:.1f} ms"
        line += f", window {receipt.window_ms} ms" + (f"; {receipt.open}" if receipt.open else "")
        if receipt.changed or not repeat:
            self.repeats.forget()
        what = f"{receipt.master}; {receipt.open}"
        self.repeats.log(logging.INFO, OUTCOME, line, again=bool(receipt.open), what=what)

    def _converge(
        self, topology: Topology, receipt: Receipt, *, force: bool, repeat: bool, tell: Callable[[Hint], None]
    ) -> None:
        narration = Narration(log)
        try:
            started = time.perf_counter()
            master, slaves, left_out = self._locator.resolve(topology)
            _note(receipt, narration, "resolve", f"resolve {len(topology.instances)} names", started)
            with RedisRuntime(self._settings, self._pool, self._idle) as runtime:
                converge(
                    runtime,
                    self._settings,
                    lambda: observe(runtime, master, slaves, left_out),
                    receipt,
                    self._planner,
                    narration=narration,
                    force=force,
                    tell=tell,
                )
        except Exception:
            # what a refusal was concluded from; but not each time that it is repeated
            narration.close(logging.DEBUG if repeat else logging.INFO)
            raise
        narration.close()

    def dry_run(self, topology: Topology, *, force: bool = False) -> list[str]:
        """The steps that apply() would take now, one line each; touches nothing, and waits for nobody."""
        _check_size(topology, self._settings.max_instances)
        with RedisRuntime(self._settings, self._pool, self._idle) as runtime:
            made = self._planner.plan(observe(runtime, *self._locator.resolve(topology)), runtime.clock(), force=force)
        lines = [str(step) for step in made.steps] or ["nothing to do"]
        lines += [f"leaves out {skipped}" for skipped in made.left_out]
        return lines + [f"discards {text}" for text in made.discarded]

    @property
    def settings(self) -> Settings:
        """What it was made with."""
        return self._settings

    def check(self) -> None:
        """Unresolved where no name server answers."""
        self._locator.check()

    def state(self) -> dict[str, object]:
        """The topology that was applied last, and what its instances say of themselves now."""
        if self.applied is None:
            return {"topology": None, "instances": []}
        with RedisRuntime(self._settings, self._pool, self._idle) as runtime:
            instances = self._locator.find_all(self.applied.instances)
            return {"topology": self.applied, "instances": describe(runtime, instances)}
