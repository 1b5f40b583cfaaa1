"""Asks all instances at once what they are, and makes observations of it. Changes nothing.

An address is never taken from a master's list of slaves, which may show NATed ones; only from the document, from what a
slave was told to follow, and from the lineage records.
"""

from collections.abc import Iterable, Sequence

from dictator.info import OBSERVE, observation
from dictator.instance import Instance
from dictator.link import Link, NoAnswer, Runtime, ServerError
from dictator.observation import FENCE, HALT, Observation, Skipped
from dictator.state import ClusterState

# how far a chain of masters outside the list is followed; a longer one is no chain that anybody runs
CHAIN = 8
Outcome = Observation | NoAnswer


def observe(
    runtime: Runtime, master: Instance, slaves: tuple[Instance, ...], left_out: tuple[Skipped, ...] = ()
) -> ClusterState:
    """What the listed instances say, and those outside that matter. NoAnswer if the wanted master is silent.

    Masters are asked again last: one that takes writes, read before its slaves, would look as if it were behind them.
    """
    reached: dict[Instance, Observation] = {}
    missing = list(left_out)
    listed = (master, *slaves)
    for instance, outcome in zip(listed, _observe_all(runtime, listed), strict=True):
        if isinstance(outcome, NoAnswer):
            if instance == master:
                raise outcome
            missing.append(Skipped(str(instance), str(outcome).removeprefix(f"{instance} ")))
        elif outcome.loading and instance != master:
            missing.append(Skipped(str(instance), "is loading its data"))
        else:
            reached[instance] = outcome
    outside = _outside(runtime, tuple(reached.values()))
    return _masters_again(runtime, ClusterState(reached.pop(master), tuple(reached.values()), outside, tuple(missing)))


def _observe_all(runtime: Runtime, instances: Sequence[Instance]) -> list[Outcome]:
    # two names may lead to one address: that is refused later, with both names
    distinct = list({instance.address: instance for instance in instances}.values())
    replies = runtime.send_all([(instance, OBSERVE) for instance in distinct])
    by_address = {instance.address: reply for instance, reply in zip(distinct, replies, strict=True)}
    return [_outcome(instance, by_address[instance.address]) for instance in instances]


def _outcome(instance: Instance, replies: Sequence[object] | NoAnswer) -> Outcome:
    if isinstance(replies, NoAnswer):
        return replies
    try:
        return parse(instance, replies)
    except NoAnswer as error:
        return error


def read_observation(link: Link, instance: Instance) -> Observation:
    """One instance, asked once (one round trip). NoAnswer if it is silent, or refuses to be asked."""
    return parse(instance, link.send(*OBSERVE))


def parse(instance: Instance, replies: Sequence[object]) -> Observation:
    """The observation in the replies to OBSERVE; NoAnswer where they are errors, or not those of a redis."""
    *rest, record = replies
    for reply in rest:
        if isinstance(reply, ServerError):
            raise NoAnswer(f"{instance} can't be observed: {reply.text}")
    unreadable = record.text if isinstance(record, ServerError) else ""
    try:
        return observation(instance, rest, record if isinstance(record, str) else None, unreadable)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise NoAnswer(f"{instance} does not answer as a redis does ({type(error).__name__})") from None


def _outside(runtime: Runtime, listed: tuple[Observation, ...]) -> tuple[Observation, ...]:
    """The unlisted instances that matter: masters that listed slaves follow, and those that the newest record names."""
    known = {observed.instance.address for observed in listed} | {FENCE, HALT}
    run_ids = {observed.run_id for observed in listed}
    outside: dict[str, Observation] = {}
    unknown = [*_named_by_records(listed), *_followed_by(listed)]
    for _ in range(CHAIN):
        asked = {instance.address: instance for instance in reversed(unknown) if instance.address not in known}
        known |= set(asked)
        outcomes = _observe_all(runtime, tuple(asked.values()))
        reached = [outcome for outcome in outcomes if isinstance(outcome, Observation)]
        for observed in reached:
            if observed.run_id not in run_ids and not observed.loading:
                outside.setdefault(observed.run_id, observed)
        unknown = _followed_by(reached)
    return tuple(outside.values())


def _followed_by(instances: Iterable[Observation]) -> list[Instance]:
    addresses = {observed.replication.following for observed in instances}
    return [Instance(host, host, port) for host, port in filter(None, addresses)]


def _named_by_records(listed: tuple[Observation, ...]) -> list[Instance]:
    """The master of the highest epoch, and the source of an intent, where the document does not list their names."""
    records = [observed.record for observed in listed if observed.record]
    newest = max((record.epoch for record in records), default=0)
    names = {observed.instance.name for observed in listed}
    members = {
        member for record in records if record.epoch == newest for member in (record.master, record.source) if member
    }
    return [member.instance for member in members if member.name not in names]


def _masters_again(runtime: Runtime, state: ClusterState) -> ClusterState:
    masters = [
        observed.instance for observed in state.everyone if observed.replication.master or observed.replication.parked
    ]
    again = {
        outcome.instance: outcome for outcome in _observe_all(runtime, masters) if isinstance(outcome, Observation)
    }
    fresh = [again.get(observed.instance, observed) for observed in state.everyone]
    count = len(state.listed)
    return ClusterState(fresh[0], tuple(fresh[1:count]), tuple(fresh[count:]), state.left_out)
