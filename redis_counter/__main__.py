"""Proves that no write was lost: `redis-counter`, set by environment variables (`redis-counter --help`).

Exit status: 0 with nothing missing and no phantom, 1 otherwise or when it couldn't tell, 2 for a bad setting.
"""

import argparse
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


HELP = """\
Writes unique values to the redis master that DNS names, then counts how many are missing. It ends with

  ack'd: 9972 (0 missing) err'd: 28 (0 phantom)

missing: acknowledged, but not in the list. phantom: refused, but in the list. Exit status 0 if there are none
of either, 1 otherwise, 2 for a bad setting. It is set by environment variables:

  NAMESERVERS        name servers' IP addresses (those of /etc/resolv.conf)
  NAMESERVERS_PORT   their port (53)
  COUNTER_SERVICE    SRV name of the master (master.redis-1.docker)
  COUNTER_COUNT      writes in all (10000)
  COUNTER_WRITERS    writers at a time, each in a process (1)
  COUNTER_INTERVAL   ms between two writes of a writer (1)
  COUNTER_KEY        the list to write to (debug:counter:stack)
  COUNTER_CLEAR      1 to empty the list first
  COUNTER_CLIENT     safe: safe_redis.client, which sends again what was not executed;
                     plain: one connection, opened anew after every error (safe)
  COUNTER_PATIENCE   seconds without a master after which it gives up (60)
  LOG_LEVEL          DEBUG, INFO, WARNING or ERROR (INFO)
  LOG_FORMAT         text or json (text)
"""


def main() -> int:
    """Read the settings, write, compare, report."""
    parser = argparse.ArgumentParser("redis-counter", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.description = HELP
    parser.parse_args()
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


if __name__ == "__main__":
    sys.exit(main())
