"""Plans the way from what was observed to the wanted topology: a list of steps, or a refusal. Pure: no I/O, no clock.

Invariant: at every instant the source is writable, or it is parked with everything, or the target is the master and has
everything. So a plan can be cut short anywhere; the next run observes and plans anew, and no plan is ever resumed.
docs/algorithm.md has the order of the steps and the reasons for it.
"""

from dataclasses import dataclass

from dictator.checks import check, check_identity, check_strangers
from dictator.instance import Instance
from dictator.lineage import Claim, Member, Record
from dictator.observation import Observation, Skipped
from dictator.source import WAYS_OUT, Source, recorded
from dictator.state import ClusterState, covers, without_foreign
from dictator.steps import (
    CheckRights,
    Drain,
    Fence,
    Follow,
    Halt,
    HandOver,
    Intend,
    Lift,
    Park,
    Pause,
    Prepare,
    Promote,
    Reparent,
    Replan,
    Step,
    Tidy,
    Verify,
    WriteRecord,
)
from dictator.unrecorded import unrecorded
from safe_redis.errors import Refused

# what other tools set to keep writes out; nobody has so many slaves
LEFTOVER = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, whose data survives (`source`), what is left out, and what force gives up, in words."""

    source: Instance
    steps: tuple[Step, ...]
    left_out: tuple[Skipped, ...] = ()
    discarded: tuple[str, ...] = ()
    lineage_id: str = ""


def plan(snapshot: ClusterState, claim: Claim, *, force: bool = False) -> Plan:
    """The steps from what was observed to the wanted topology; a TopologyError where there is no safe way."""
    state = without_foreign(snapshot, claim.cluster)
    for observed in state.listed:
        check(observed)
    check_identity(state)
    source = recorded(state, force=force) if state.records else unrecorded(state, force=force)
    check(source.observation)
    strange = check_strangers(state, source.observation, force=force)
    lineage = _Lineage.after(state, source, claim)
    steps, lost = (_stay if source.observation.instance == state.master.instance else _switch)(
        state, source, lineage, force=force
    )
    discarded = tuple(dict.fromkeys((*source.discarded, *strange, *lost)))
    if steps:
        steps = (CheckRights(tuple(observed.instance for observed in _touched(state, source))), *steps)
    return Plan(source.observation.instance, steps, state.left_out, discarded, lineage.id)


def _touched(state: ClusterState, source: Source) -> tuple[Observation, ...]:
    old = source.observation
    return state.listed if old in state.listed else (*state.listed, old)


@dataclass(frozen=True, slots=True)
class _Lineage:
    """What the records of this plan have in common: the cluster, its id, and the epoch that comes next."""

    cluster: str
    id: str
    epoch: int
    forced: int

    @classmethod
    def after(cls, state: ClusterState, source: Source, claim: Claim) -> "_Lineage":
        """Above every epoch that was observed, and those that a FLUSHALL has erased: the clock has passed them."""
        newest = source.observation.record or (state.records[0] if state.records else None)
        epochs = [record.epoch for record in state.records]
        epoch = max(claim.clock, *(known + 1 for known in epochs)) if epochs else claim.clock
        forced = epoch if source.forced else newest.forced if newest else 0
        return cls(claim.cluster, newest.id if newest else claim.fresh_id, epoch, forced)

    def served(self, master: Instance, epoch: int = 0) -> Record:
        """The record that says that `master` serves."""
        return Record(self.cluster, self.id, epoch or self.epoch, "served", Member.of(master), forced=self.forced)

    def intended(self, source: Instance, target: Instance) -> Record:
        """The record that says that `source` is about to hand over to `target`."""
        return Record(
            self.cluster, self.id, self.epoch, "intended", Member.of(target), Member.of(source), forced=self.forced
        )


Steps = tuple[tuple[Step, ...], tuple[str, ...]]


def _stay(state: ClusterState, source: Source, lineage: _Lineage, *, force: bool) -> Steps:
    """The wanted master is the source: nothing is handed over, the others follow."""
    master = state.master
    parks, lost = _parks(state.slaves, source.observation, force=force)
    # a promotion changes the master's replication id, so that every link is made anew
    lift = () if master.replication.master else (Lift(master.instance, lineage.served(master.instance)),)
    record = lift or _record_of(master, lineage)
    # and whether a slave that is adopted is one on its disk as well, only its CONFIG REWRITE makes sure
    anew = lift or not state.records
    wrong = tuple(observed.instance for observed in state.slaves if anew or not _follows(observed, master))
    follow = (Follow(wrong, master.instance),) if wrong else ()
    first, rest = _tidy((master,)), _tidy(state.slaves)
    # a master with a min-replicas-to-write takes no write, and so no record, before its slaves are there; and the first
    # record ever would make strangers of slaves that can't get it any more
    late = not lift and (0 < master.min_replicas < LEFTOVER or not state.records)
    middle = (*follow, *record) if late else (*record, *follow)
    return (*parks, *first, *middle, *rest), lost


def _record_of(master: Observation, lineage: _Lineage) -> tuple[WriteRecord, ...]:
    """The record that the master lacks, if any: an epoch that was intended for it begins; any other is a new one."""
    record, instance = master.record, master.instance
    if record is None or record.master != Member.of(instance) or lineage.forced == lineage.epoch:
        return (WriteRecord(instance, lineage.served(instance)),)
    return () if record.served else (WriteRecord(instance, lineage.served(instance, record.epoch)),)


def _follows(observed: Observation, master: Observation) -> bool:
    return observed.replication.linked_to(master.instance, master.replication.history.replid)


def _switch(state: ClusterState, source: Source, lineage: _Lineage, *, force: bool) -> Steps:
    """The source hands over to the wanted master. It follows even if it isn't listed: nobody must write to it."""
    old, new = source.observation, state.master.instance
    others = tuple(observed for observed in state.slaves if observed.instance != old.instance)
    parks, lost = _parks((state.master, *others), old, force=force)
    if not old.replication.master:
        # a parked one serves no new slaves, and a copy is no source: make it a master first, then look again
        return (Lift(old.instance, lineage.served(old.instance)), Replan()), lost
    slaves = tuple(observed.instance for observed in others)
    below = tuple(observed.instance for observed in others if observed.replication.follows(old.instance))
    astray = tuple(instance for instance in slaves if instance not in below)
    intent = lineage.intended(old.instance, new)
    return (
        *parks,
        Prepare(new, old.instance),
        # before the intent, so that they get it, or at least are seen to belong to us
        *((Reparent(astray, old.instance),) if astray else ()),
        *_tidy((old, state.master)),
        Verify(new, old.instance, force, slaves),
        Intend(old.instance, new, intent),
        *_halts(below, old),
        Pause(old.instance),
        Drain(new, old.instance),
        Fence(old.instance, intent, force),
        Drain(new, old.instance),
        Promote(new, old.instance, lineage.served(new, intent.epoch)),
        HandOver(old.instance, new),
        Follow((old.instance, *slaves), new),
        *_tidy(others),
    ), lost


def _halts(below: tuple[Instance, ...], source: Observation) -> tuple[Step, ...]:
    """The other slaves are halted, unless the source wants several: with just the target it would take no writes."""
    return (Halt(below),) if below and source.min_replicas % LEFTOVER < 2 else ()


def _parks(others: tuple[Observation, ...], source: Observation, *, force: bool) -> Steps:
    """Every master that is to become a slave is parked first: what it holds is judged when it can no longer change."""
    lost = tuple(str(observed) for observed in others if observed.holder and not overwritable(observed, source))
    if lost and not force:
        raise Refused(f"{'; '.join(lost)}: not part of what {source.instance} holds, and would be lost. {WAYS_OUT}")
    return tuple(
        Park(observed.instance, source.instance, force) for observed in others if observed.replication.master
    ), lost


def overwritable(observed: Observation, source: Observation) -> bool:
    """Whether `observed` can become a slave of `source` without losing anything: the ancestor rule, or a closed epoch.

    A source that is parked under its own intent was fenced by that handover. Once another instance is the master of
    that epoch, or of a later one, everything that it ever acknowledged is part of what that one has.
    """
    if covers(source, observed):
        return True
    record, later = observed.record, source.record
    if not (observed.replication.parked and record and record.source and later and later.id == record.id):
        return False
    return record.source.name == observed.instance.name and later.forced <= record.epoch <= later.epoch


def _tidy(instances: tuple[Observation, ...]) -> tuple[Step, ...]:
    fenced = tuple(observed.instance for observed in instances if observed.min_replicas >= LEFTOVER)
    return (Tidy(fenced),) if fenced else ()
