"""Applies topologies to a modelled cluster, and says what has become of its data."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import replace

from dictator.apply import Planner, converge
from dictator.instance import Instance
from dictator.lineage import Claim
from dictator.narration import Narration
from dictator.observe import observe
from dictator.plan import Plan, plan
from dictator.receipt import Receipt
from dictator.settings import Settings
from safe_redis.early import Hint
from safe_redis.errors import TopologyError
from tests.dictator.model import Entry, Redis
from tests.dictator.model_cluster import Cluster
from tests.dictator.model_runtime import Runtime
from tests.dictator.states import ALL, State, fresh

log = logging.getLogger(__name__)

Plans = Callable[..., Plan]
# a wait for what never comes takes some twenty looks
SETTINGS = Settings(sync_timeout=0.05, follow_timeout=0.05, pause_timeout=0.05)


_verdicts: dict[int, str] = {}


def forget() -> None:
    """Forgets all verdicts."""
    _verdicts.clear()


class Lost(AssertionError):
    """The invariant is broken."""


def apply(runtime: Runtime, master: str, *, planner: Plans = plan, force: bool = False) -> Receipt:
    """One run of the real planner and executor: `master` of A, B and C shall be the master."""
    receipt = Receipt(master=master)
    wanted = Instance(master, master, 6379)
    slaves = tuple(Instance(name, name, 6379) for name in ALL if name != master)
    converge(
        runtime,
        SETTINGS,
        lambda: observe(runtime, wanted, slaves),
        receipt,
        Planner(SETTINGS.cluster, numbered(runtime.name, planner)),
        narration=Narration(log),
        force=force,
        tell=lambda hint: serve(runtime.cluster, master, hint, force=force),
    )
    publish(runtime.cluster, master)
    return receipt


def publish(cluster: Cluster, master: str) -> None:
    """Has clients come to that master."""
    if cluster.published is not None:
        cluster.published |= {master}


def serve(cluster: Cluster, master: str, hint: Hint, *, force: bool) -> None:
    """Publishes a master that serves, though the run isn't over: it is one, and lacks nothing that another one has.

    Nobody can know that if its disk, or what its address leads to, has just been exchanged, or if another dictator,
    which doesn't reach the source, has made it a slave. Of two topologies, dnsd takes the newer one.
    """
    if hint is not Hint.MASTER:
        return
    publish(cluster, master)
    if cluster.lost_disk or cluster.parted or is_foreign(cluster[master]):
        return
    if not cluster[master].master:
        raise Lost(f"{master} is published, and is no master")
    held = {entry for node in cluster.nodes.values() if not is_foreign(node) for entry in node.log}
    missing = (set(cluster.acked) - cluster.erased) & held - set(cluster[master].log)
    if missing and not force:
        raise Lost(f"{master} is published, and lacks {sorted(missing)}")


def numbered(name: str, planner: Plans) -> Plans:
    """The planner, with a lineage id that is no random one: what a run does follows from what it is answered alone."""

    def plan_with_id(state: object, claim: Claim, *, force: bool) -> Plan:
        return planner(state, replace(claim, fresh_id=f"id-of-{name}"), force=force)

    return plan_with_id


def finish(cluster: Cluster, master: str, *, planner: Plans = plan, reach: str | None = None) -> None:
    """An undisturbed run that must go through, and lose nothing. Changes the cluster."""
    try:
        apply(Runtime(cluster, "last", reach=reach), master, planner=planner)
    except TopologyError as error:
        raise Lost(f"{type(error).__name__}: {error}") from None
    check_converged(cluster, master, reach=reach)


def verdict(
    cluster: Cluster, master: str, *, reach: str | None = None, planner: Plans = plan, force: bool = False
) -> str:
    """What an undisturbed run of a copy comes to: `ok`, what is broken, or the refusal, as `409 Refused: ...`.

    What is still on the way arrives after it.
    """
    last = cluster.copy()
    held = kept(last)
    try:
        receipt = apply(Runtime(last, "last", reach=reach), master, planner=planner, force=force)
        if last.on_the_way():
            last.deliver()
            if reach or not receipt.changed:
                # a run that changes nothing ends nobody's connection, nor does one where it can't reach
                apply(Runtime(last, "after"), master, planner=planner)
                reach = None
    except TopologyError as error:
        return touched(last) or f"{error.status} {type(error).__name__}: {error}"
    try:
        check_converged(last, master, set() if force else held, reach=reach)
    except Lost as error:
        return f"LOST {error}"
    return split(last) or touched(last) or "ok"


def begin(state: State, *, old: bool = False) -> Cluster:
    """A cluster in that state, with clients at every master."""
    cluster = Cluster(old=old)
    state(cluster)
    cluster.everywhere = True
    if state is fresh:  # clients come when the name of the master is published
        cluster.published = frozenset()
    return cluster


def check(cluster: Cluster) -> str | None:
    """What is wrong in this state, if anything is: a split, or what undisturbed runs from here come to.

    One that reaches all must go through; one that reaches two of them may refuse to, and loses nothing either.
    """
    if wrong := split(cluster):
        return wrong
    state = cluster.data_key()
    for reach in (None, "AB", "AC", "BC"):
        for master in reach or ALL:
            wrong = _once(cluster, state, master, reach)
            if wrong != "ok" and (reach is None or broken(wrong)):
                return f"{master} by {reach or ALL}: {wrong}"
    return None


def _once(cluster: Cluster, state: object, master: str, reach: str | None = None) -> str:
    key = hash((state, reach, master))
    if key not in _verdicts:
        _verdicts[key] = verdict(cluster, master, reach=reach)
    return _verdicts[key]


def split_or_lost(cluster: Cluster) -> str | None:
    """A split or a loss, by runs that reach all; refusals don't count."""
    if wrong := split(cluster):
        return wrong
    state = cluster.data_key()
    return next((one for one in (_once(cluster, state, master) for master in ALL) if broken(one)), None)


def check_safe(cluster: Cluster) -> str | None:
    """The same where a disk was lost: a refusal is a right answer, a loss of what is left is none."""
    wrong = check(cluster)
    return wrong if wrong and "LOST" in wrong else None


def check_older(cluster: Cluster) -> str | None:
    """Where a disk was older: nothing is lost of what is left, and what is refused can be decided by force."""
    if wrong := check_safe(cluster):
        return wrong
    for master in ALL:
        if _once(cluster, cluster.data_key(), master) != "ok":
            wrong = verdict(cluster, master, force=True)
            if wrong != "ok":
                return f"{master} by force: {wrong}"
    return None


def check_foreign(cluster: Cluster, *, strict: bool = True) -> str | None:
    """Where an address leads to another cluster: that is never touched, forced or not, and the others lose nothing.

    `strict`: nor is an apply of any other master refused.
    """
    if wrong := touched(cluster) or split(cluster):
        return wrong
    for master, force in itertools.product(ALL, (False, True)):
        wrong = verdict(cluster, master, force=force)
        if wrong == "ok" or (cluster[master].foreign and wrong.startswith("503 Unavailable: the wanted master")):
            continue
        if strict or broken(wrong):
            return f"{master}, force {force}: {wrong}"
    return None


def touched(cluster: Cluster) -> str | None:
    """Instances of other clusters that were changed."""
    return f"TOUCHED {', '.join(sorted(cluster.touched))}" if cluster.touched else None


def broken(verdict: str) -> bool:
    return verdict.startswith(("LOST", "SPLIT", "TOUCHED"))


def kept(cluster: Cluster) -> set[Entry] | None:
    """Where a disk was lost: what is still there at all. None says that everything acknowledged must be."""
    if not cluster.lost_disk:
        return None
    return {entry for node in cluster.nodes.values() for entry in node.log} - cluster.forgotten


def is_foreign(node: Redis) -> bool:
    """Whether it is another cluster's, or has become a copy of such an instance behind everybody's back."""
    return node.foreign or (node.record or "").startswith('{"cluster":"redis-2"')


def check_converged(cluster: Cluster, master: str, held: set[Entry] | None = None, *, reach: str | None = None) -> None:
    """After a successful apply: all that was acknowledged is there, and all follow a writable master."""
    cluster.time += 60.0
    cluster.client()
    cluster.settle()
    node = cluster[master]
    if not cluster.writable(node):
        raise Lost(f"{master} is not writable")
    check_data(node.log, cluster, held)
    for name in ALL:
        other = cluster[name]
        wanted = None if name == master else node.address
        if not other.alive or is_foreign(other) or (reach is not None and name not in reach):
            continue
        if other.following != wanted or (wanted and not other.link):
            raise Lost(f"{name} follows {other.following}, link {other.link}")
        check_data(other.log, cluster, held)


def check_data(log: list[Entry], cluster: Cluster, held: set[Entry] | None = None) -> None:
    promised = set(cluster.acked) - cluster.erased
    missing = (promised if held is None else promised & held) - set(log)
    written = [entry for entry in log if entry[0] in {"write", "pop", "flush"}]
    twice = len(written) != len(set(written))
    if missing or twice:
        raise Lost(f"missing {sorted(missing)}, twice {twice}")


def check_untouched(cluster: Cluster) -> None:
    """After a refusal: each acknowledged write is still somewhere."""
    held = {entry for node in cluster.nodes.values() for entry in node.log}
    missing = set(cluster.acked) - cluster.erased - held
    if missing:
        raise Lost(f"refused, but {sorted(missing)} are gone")


def split(cluster: Cluster) -> str | None:
    """Two masters that each took writes which the other doesn't have."""
    promised = set(cluster.acked)
    masters = [node for node in cluster.nodes.values() if node.master and node.alive]
    for one, other in itertools.combinations(masters, 2):
        mine, its = promised & set(one.log), promised & set(other.log)
        if mine - its and its - mine:
            return f"SPLIT {one.instance.name} {other.instance.name}"
    return None
