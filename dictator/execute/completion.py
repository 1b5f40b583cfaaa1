"""The steps after the handover, only forward: what fails is named in the receipt, and the next run does the rest."""

from dictator.execute.commands import REWRITE, check_replies
from dictator.execute.run import Figures, Run
from dictator.execute.waits import poll, read_replication
from dictator.link import NoAnswer
from dictator.observation import Instance
from dictator.plan import LEFTOVER
from dictator.steps import Follow, Tidy

MIN_REPLICAS = "min-replicas-to-write"


def follow(run: Run, step: Follow) -> Figures:
    """Makes every slave follow the master; names in the receipt those that don't within the time for it."""
    master, replid = step.master, read_replication(run.runtime, step.master).history.replid

    def attach(instance: Instance) -> str | None:
        """Empty where its link is up already; None where it was told to follow; else why it can't be."""
        try:
            current = read_replication(run.runtime, instance)
            if current.linked_to(master, replid):
                return ""
            run.attach(instance, current, master)
        except NoAnswer as error:
            return str(error)
        return None

    outcomes = dict(zip(step.slaves, run.runtime.map_parallel(attach, step.slaves), strict=True))
    waiting = tuple(instance for instance, outcome in outcomes.items() if outcome is None)
    late = wait_until_linked(run, waiting, master, syncing=False)
    late += [outcome for outcome in outcomes.values() if outcome]
    run.receipt.syncing = late
    return {"late": "; ".join(late)} if late else {}


def wait_until_linked(run: Run, slaves: tuple[Instance, ...], master: Instance, *, syncing: bool) -> list[str]:
    """Waits until all slaves have their link up with the master's history (or are `syncing`, where that is enough).

    Returns those that have not within FOLLOW_TIMEOUT, each with its reason.
    """
    waiting: dict[Instance, str] = dict.fromkeys(slaves, "")

    def reason(instance: Instance, replid: str) -> str | None:
        try:
            current = read_replication(run.runtime, instance)
        except NoAnswer as error:
            return str(error)
        if current.linked_to(master, replid) or (syncing and current.syncing and current.follows(master)):
            return None
        return f"{instance} is {'still syncing' if current.syncing else 'not linked'} to {master}"

    def everyone() -> bool | None:
        # anew each time: a master that never had a slave changes its replication id when the first one comes
        replid = read_replication(run.runtime, master).history.replid
        reasons = run.runtime.map_parallel(lambda instance: reason(instance, replid), tuple(waiting))
        for instance, text in zip(tuple(waiting), reasons, strict=True):
            if text is None:
                del waiting[instance]
            else:
                waiting[instance] = text
        return None if waiting else True

    if waiting:
        poll(run.runtime, run.settings.follow_timeout, everyone)
    return list(waiting.values())


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
