"""The image's health check: succeeds when DNS names a master and it answers, so that the counter has work to do."""

import os
import sys

import msgspec

from redis_counter.counter import Settings, master_of
from redis_counter.master import NoMasterError, ask
from safe_redis import settings

PATIENCE = 0.1
"""Seconds after which one more failure is the last: the engine asks again soon."""


def main() -> int:
    """Ask once, or a few times where the answer is quick."""
    chosen = msgspec.structs.replace(settings.read(Settings, os.environ), counter_patience=PATIENCE)
    try:
        master_of(chosen).attempt(lambda connection: ask(connection, "PING"))
    except NoMasterError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
