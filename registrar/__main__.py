"""Starts the registrar: checks its settings, follows Docker's events, and works until SIGTERM."""

import logging
import os
import sys
import threading

from registrar.containers import Docker
from registrar.registrar import Registrar
from registrar.settings import read
from safe_redis.ending import end_on_signals
from safe_redis.errors import SettingsError
from safe_redis.logs import configure

log = logging.getLogger("registrar")


def main() -> int:
    """Returns only where the settings are wrong: 2, with a line that names the variable."""
    try:
        settings, store = read(os.environ)
    except SettingsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    configure(settings)
    # what is registered stays until its TTL ends: another registrar takes it over
    end_on_signals(log)
    log.info("registers the containers of %s at %s", settings.host, settings.docker_network or settings.host_ip)
    changed = threading.Event()
    docker = Docker(settings)
    threading.Thread(target=docker.follow, args=(changed,), name="events", daemon=True).start()
    Registrar(docker, store, settings).work(changed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
