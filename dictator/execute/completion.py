"""The steps after the handover, only forward: what fails is named in the receipt, and the next run does the rest."""

from collections.abc import Sequence

from dictator.execute.commands import REWRITE, check_replies
from dictator.execute.recording import write
from dictator.execute.run import Figures, Run
from dictator.execute.waits import poll, read_replication, read_replications
from dictator.instance import Instance
from dictator.lineage import Record
from dictator.link import NoAnswer
from dictator.observation import Replication
from dictator.plan import LEFTOVER
from dictator.steps import Follow, Tidy
from safe_redis.errors import Refused, Unavailable

MIN_REPLICAS = "min-replicas-to-write"


def follow(run: Run, step: Follow) -> Figures:
    """Makes every slave follow the master; names in the receipt those that don't within the time for it."""
    master, replid = step.master, read_replication(run.runtime, step.master).history.replid
    outcomes = read_replications(run.runtime, step.slaves)
    apart = {
        instance: rep
        for instance, rep in outcomes.items()
        if isinstance(rep, Replication) and not rep.linked_to(master, replid)
    }
    linked = [at for at, rep in outcomes.items() if isinstance(rep, Replication) and at not in apart]
    _save_roles(run, [instance for instance in linked if instance not in run.saved_slaves])
    failed = run.attach(apart, master)
    late = _wait_until_linked(run, [instance for instance in apart if instance not in failed], master)
    late += [str(error) for error in (*failed.values(), *outcomes.values()) if isinstance(error, NoAnswer)]
    run.receipt.syncing = late
    if run.unrecorded:
        _record(run, master, run.unrecorded)
    return {"late": "; ".join(late)} if late else {}


def _save_roles(run: Run, instances: Sequence[Instance]) -> None:
    """Has slaves that follow already save that: somebody may have made them so by hand, and a restart would undo it."""
    replies = run.runtime.send_all([(instance, (REWRITE,)) for instance in instances])
    for instance, reply in zip(instances, replies, strict=True):
        if not isinstance(reply, NoAnswer):
            run.warn_unsaved(instance, reply[0])


def _record(run: Run, master: Instance, record: Record) -> None:
    try:
        write(run, master, record)
    except (Refused, Unavailable) as error:
        run.warn(f"{error}. The next apply writes it; until then the intent to promote {master} stands for it")


def _wait_until_linked(run: Run, slaves: Sequence[Instance], master: Instance) -> list[str]:
    """Waits until all slaves have their link up with the master's history.

    Returns those that have not within FOLLOW_TIMEOUT, each with its reason.
    """
    waiting: dict[Instance, str] = dict.fromkeys(slaves, "")

    def everyone() -> bool | None:
        # the master anew each time: one that never had a slave changes its replication id when the first one comes
        outcomes = read_replications(run.runtime, (master, *waiting))
        top = outcomes.pop(master)
        if isinstance(top, NoAnswer):
            raise top
        for instance, outcome in outcomes.items():
            reason = _why_not_linked(instance, outcome, master, top.history.replid)
            if reason:
                waiting[instance] = reason
            else:
                del waiting[instance]
        return None if waiting else True

    if waiting:
        poll(run.runtime, run.settings.follow_timeout, everyone)
    return list(waiting.values())


def _why_not_linked(instance: Instance, outcome: Replication | NoAnswer, master: Instance, replid: str) -> str:
    if isinstance(outcome, NoAnswer):
        return str(outcome)
    if outcome.linked_to(master, replid):
        return ""
    return f"{instance} is {'still syncing' if outcome.syncing else 'not linked'} to {master}"


def tidy(run: Run, step: Tidy) -> Figures:
    """Takes back what another tool has left in min-replicas-to-write; the operator's own part of it stays."""
    return {str(instance): _restore(run, instance) for instance in step.instances}


def _restore(run: Run, instance: Instance) -> str:
    link = run.runtime.link(instance)
    try:
        (setting,) = check_replies(instance, link.send(("CONFIG", "GET", MIN_REPLICAS)))
        value = int(setting[1])
        if value < LEFTOVER:
            return f"{MIN_REPLICAS} is {value} by now"
        set_back = ("CONFIG", "SET", MIN_REPLICAS, value - LEFTOVER)
        _, rewrite = check_replies(instance, link.send(set_back, REWRITE), tolerate=(1,))
    except NoAnswer as error:
        run.receipt.warnings.append(str(error))
        return "no answer"
    run.warn_unsaved(instance, rewrite)
    return f"{MIN_REPLICAS} {value} set back to {value - LEFTOVER}"
