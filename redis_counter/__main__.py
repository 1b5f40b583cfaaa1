"""Proves that no write was lost: `redis-counter`, set by environment variables (`redis-counter --help`).

Exit status: 0 with nothing missing and no phantom, 1 otherwise or when it couldn't tell, 2 for a bad setting.
"""

import argparse
import sys

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
    """Explain the program, or run it."""
    parser = argparse.ArgumentParser("redis-counter", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.description = HELP
    parser.parse_args()
    try:
        from redis_counter.program import run  # noqa: PLC0415 - --help works without the packages of the extra
    except ModuleNotFoundError as error:
        print(f"redis-counter: {error.name} is missing: pip install 'safe-redis[redis-counter]'", file=sys.stderr)
        return 2
    return run()


if __name__ == "__main__":
    sys.exit(main())
