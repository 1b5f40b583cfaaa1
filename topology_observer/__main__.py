"""Starts the observer: checks its settings, watches the trigger, and works until SIGTERM."""

import logging
import os
import sys
import threading
from pathlib import Path

from safe_redis.ending import end_on_signals
from safe_redis.errors import SettingsError
from safe_redis.etcd import Store
from safe_redis.logs import configure
from topology_observer.history import HistoryKeeper
from topology_observer.metrics import serve
from topology_observer.notify import Notifier
from topology_observer.settings import Settings, read
from topology_observer.watch import Mailbox, Watch
from topology_observer.worker import Worker

log = logging.getLogger("topology_observer")


def main() -> int:
    """Returns only where the settings are wrong: 2, with a line that names the variable."""
    try:
        settings, store = read(os.environ)
        notifier = Notifier(settings)
    except SettingsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    configure(settings)
    # a run that is cut off is made up for at the next start
    end_on_signals(log)
    log.info("notifies %s of %s", ", ".join(settings.notifies), settings.document)
    mailbox = Mailbox()
    heartbeat = Path(settings.heartbeat) if settings.heartbeat else None
    watch = Watch(store, settings.trigger, mailbox, heartbeat)
    threading.Thread(target=watch.follow, name="watch", daemon=True).start()
    if settings.metrics_port:
        serve(settings.metrics_port, lambda: _check(store, notifier, settings))
    keeper = HistoryKeeper(store, notifier, settings)
    threading.Thread(target=keeper.keep, name="history", daemon=True).start()
    Worker(store, notifier, settings, mailbox, ended=keeper.wake).work()
    return 0


def _check(store: Store, notifier: Notifier, settings: Settings) -> None:
    """A TopologyError where etcd or the name servers don't answer."""
    store.get(settings.trigger)
    notifier.check()


if __name__ == "__main__":
    sys.exit(main())
