"""Writes the lineage record to a writable master, also where the master takes hardly any write."""

from typing import NoReturn

from dictator.execute.commands import INFO, UNPAUSE, check_replies, set_record, set_record_when_full
from dictator.execute.run import Run, Stale
from dictator.execute.waits import Offset, poll
from dictator.info import memory, replication
from dictator.instance import Instance
from dictator.lineage import KEY, Record
from dictator.link import ServerError
from safe_redis.errors import Refused, Unavailable


def write(run: Run, instance: Instance, record: Record) -> Offset:
    """Writes the record, and returns an offset behind it. A pause that was left behind would hold it back for ever."""
    error: ServerError | None = None
    rep: dict[str, str] = {}

    def attempt() -> bool | None:
        nonlocal error, rep
        error, rep = _attempt(run, instance, record)
        return None if error and error.text.startswith("NOREPLICAS") else True

    # slaves that have just come tell after a second that they are in time
    poll(run.runtime, run.settings.follow_timeout, attempt)
    if error:
        _refuse(run, instance, error.text, rep)
    history = replication(rep).history
    return Offset(history.replid, history.offset)


def _attempt(run: Run, instance: Instance, record: Record) -> tuple[ServerError | None, dict[str, str]]:
    """Writes the record once; the error that it was answered with, and the replication section behind it."""
    link = run.runtime.link(instance)
    _, written, rep = check_replies(instance, link.send(UNPAUSE, set_record(record), INFO), tolerate=(1,))
    if isinstance(written, ServerError) and written.text.startswith("OOM"):
        written, rep = check_replies(instance, link.send(set_record_when_full(record), INFO), tolerate=(0,))
    return (written if isinstance(written, ServerError) else None), rep


def _refuse(run: Run, instance: Instance, text: str, rep: dict[str, str]) -> NoReturn:
    code = text.partition(" ")[0]
    if code == "NOREPLICAS":
        (wanted,) = check_replies(instance, run.runtime.link(instance).send(("CONFIG", "GET", "min-replicas-to-write")))
        raise Unavailable(
            f"{instance} takes no writes, and so no lineage record: its min-replicas-to-write is {wanted[1]}, "
            f"and {rep.get('min_slaves_good_slaves', '0')} slave(s) are in time"
        )
    if code == "READONLY":
        raise Stale(f"{instance} is no master any more")
    if code in ("OOM", "ERR"):
        (fields,) = check_replies(instance, run.runtime.link(instance).send(("INFO", "memory")))
        used = memory(fields)
        raise Refused(
            f"{instance} takes no writes, and so no lineage record: it uses {used.used} bytes, its maxmemory is "
            f"{used.limit} ({text}). Raise maxmemory, or delete what is not needed"
        )
    raise Unavailable(f"{instance} did not write the lineage record at {KEY}: {text}")
