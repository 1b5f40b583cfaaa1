"""A client that finds the master by DNS, as a process: `python -m bench.rediscover ORDER`, with the order as JSON.

It writes on one connection. When a write fails, it looks the master up again and reconnects, with redis-counter's code.
It prints `at PORT` for each instance that acknowledges its writes. When stdin is closed, it prints a report as JSON:
the times from and to which each instance acknowledged, and each look-up with its start, its end and the port that it
found. Times are Unix times in seconds.
"""

import gc
import json
import select
import sys
import time
from typing import Any

from redis.exceptions import RedisError

from redis_counter.master import Master, NoMasterError, pause_after
from safe_redis.srv import Endpoint, Resolver

PATIENCE = 30.0


class Witness(Resolver):
    """A resolver that records its look-ups."""

    def __init__(self, server: str, port: int) -> None:
        super().__init__([server], port, timeout=1)
        self.lookups: list[tuple[float, float, int]] = []

    def srv(self, name: str) -> Endpoint:
        """Look the name up, and record it."""
        started = time.time()
        endpoint = super().srv(name)
        self.lookups.append((started, time.time(), endpoint.port))
        return endpoint


def ended() -> bool:
    """Whether stdin has been closed."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Write until stdin is closed."""
    witness = Witness(order["nameserver"], order["nameserver_port"])
    master = Master(witness, order["service"], PATIENCE)
    served: list[list[float]] = []
    errors = 0
    while not ended():
        connection = master.connection(ended)
        try:
            while not ended():
                connection.send_command("RPUSH", order["key"], "x")
                connection.read_response()
                now = time.time()
                errors = 0
                if not served or served[-1][2] != connection.port:
                    served.append([now, now, connection.port])
                    sys.stdout.write(f"at {connection.port}\n")
                    sys.stdout.flush()
                served[-1][1] = now
                time.sleep(order["interval"])
        except RedisError:
            errors += 1
            time.sleep(pause_after(errors))
        finally:
            connection.disconnect()
    return {"served": served, "lookups": witness.lookups}


if __name__ == "__main__":
    gc.disable()
    try:
        sys.stdout.write(json.dumps(run(json.loads(sys.argv[1]))) + "\n")
    except NoMasterError as error:
        sys.exit(str(error))
