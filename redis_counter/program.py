"""The program behind redis-counter: writes, compares, and reports."""

import os
import signal
import sys

from tqdm import tqdm

from redis_counter.counter import Settings, WriterDiedError, WriterPool, Written, clear, compare, master_of
from redis_counter.master import NoMasterError
from redis_counter.tally import Tally
from safe_redis import logs, settings
from safe_redis.errors import SettingsError

ENDINGS = (signal.SIGINT, signal.SIGTERM)
SHOWN = 10
"""How many of the missing values and of the phantoms are named."""


def run() -> int:
    """Read the settings, write, compare, report. Returns the exit status."""
    try:
        chosen = settings.read(Settings, os.environ)
        master_of(chosen)
    except SettingsError as error:
        print(f"redis-counter: {error}", file=sys.stderr)
        return 2
    logs.configure(chosen)
    for ending in ENDINGS:  # the first process of a container ignores both unless it has a handler
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    try:
        return _count(chosen)
    except (NoMasterError, WriterDiedError) as error:
        print(f"redis-counter: {error}", file=sys.stderr)
        return 1


def _count(chosen: Settings) -> int:
    _ask_for_enter("to start writing")
    if chosen.counter_clear:
        clear(chosen)
    written = _write(chosen)
    _ask_for_enter("to compare")
    result = compare(chosen, written)
    _report(chosen, written, result)
    complete = written.attempts == chosen.counter_count
    return 0 if result.lossless and complete else 1


def _write(chosen: Settings) -> Written:
    pool = WriterPool(chosen)
    before = {ending: signal.signal(ending, lambda *_: pool.stop()) for ending in ENDINGS}
    # disable=None: no bar unless stderr is a terminal. Its monitor would be a thread, and the pool forks.
    tqdm.monitor_interval = 0
    with tqdm(total=chosen.counter_count, unit=" writes", disable=None) as bar:

        def progress(total: int) -> None:
            bar.update(total - bar.n)

        written = pool.run(progress)
    for ending, handler in before.items():
        signal.signal(ending, handler)
    return written


def _report(chosen: Settings, written: Written, result: Tally) -> None:
    for what, values in (("missing", result.missing), ("phantom", result.phantom), ("duplicate", result.duplicates)):
        for value in values[:SHOWN]:
            print(f"{what}: {value}", file=sys.stderr)
    if written.attempts < chosen.counter_count:
        why = f": {written.gave_up}" if written.gave_up else ""
        print(f"redis-counter: stopped after {written.attempts} of {chosen.counter_count} writes{why}", file=sys.stderr)
    rate = written.attempts / written.seconds
    print(f"{written.attempts} writes in {written.seconds:.1f} s ({rate:.0f} a second)")
    if written.errors:
        print("errors: " + ", ".join(f"{kind} {times}" for kind, times in sorted(written.errors.items())))
    print(f"unknown: {result.unknown} ({result.unknown_present} present)")
    print(f"duplicates: {len(result.duplicates)}")
    print(f"longest pause between two acks: {written.longest_pause * 1000:.1f} ms")
    print(result.line)


def _ask_for_enter(what_for: str) -> None:
    if sys.stdin.isatty() and sys.stdout.isatty():
        input(f"Press ENTER {what_for} ")
