"""A client that finds the master by DNS, in a process of its own: `python -m bench.rediscover`, its order as JSON.

It writes on one connection; when that fails it looks the master up anew and connects, by the counter's own means. Says
`at PORT` on stdout for each instance that acknowledges it, and when stdin closes, what it lived through: from which to
which time it was acknowledged by whom, and each look-up with its start, its end and the port found. Times are Unix
times in seconds.
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
    """A resolver that notes its look-ups."""

    def __init__(self, server: str, port: int) -> None:
        super().__init__([server], port, timeout=1)
        self.lookups: list[tuple[float, float, int]] = []

    def srv(self, name: str) -> Endpoint:
        """As it is, but noted."""
        started = time.time()
        found = super().srv(name)
        self.lookups.append((started, time.time(), found.port))
        return found


def ended() -> bool:
    """Whether stdin has been closed."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Write until told to stop."""
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
