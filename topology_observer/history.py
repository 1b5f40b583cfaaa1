"""Keeps the dictator's history in etcd, and hands it back to a dictator that has restarted.

Runs in a thread of its own, after a run has ended. Advisory: what fails is logged, and no run depends on it.
"""

import logging
import threading
import time
from dataclasses import replace
from typing import Any

import msgspec

from safe_redis.errors import TopologyError, Unavailable
from safe_redis.etcd import Store
from topology_observer.notify import Notifier
from topology_observer.pause import PauseKey
from topology_observer.settings import Receiver, Settings

log = logging.getLogger(__name__)

# as many as the dictator has
LENGTH = 100
# entries in one PUT, which is limited to 1 MiB
BATCH = 10
# in seconds: several runs in this time are one look, and one look is due in that time even without a run
PAUSE = 1.0
INTERVAL = 60.0


class HistoryKeeper:
    """Compares what the dictator has with what etcd has, after each run."""

    def __init__(self, store: Store, notifier: Notifier, settings: Settings) -> None:
        self._store = store
        self._notifier = notifier
        self._key = settings.history_key
        self._pause = PauseKey(store, settings.paused_key)
        self._dictator = _dictator(settings.receivers)
        self._ended = threading.Event()
        self._stored: dict[str, str] | None = None
        # the names of stored entries that the dictator refuses
        self._refused: set[str] = set()
        self._working = True

    def wake(self) -> None:
        """Has it look soon. Returns at once."""
        self._ended.set()

    def keep(self) -> None:
        """Never returns, unless there is no dictator among the receivers; run it in a daemon thread."""
        while self._dictator:
            self._ended.wait(INTERVAL)
            self._ended.clear()
            try:
                self.step(self._dictator)
                self._working = True
            except TopologyError as error:
                # once: the runs report what fails for longer
                log.log(logging.WARNING if self._working else logging.DEBUG, "failed to keep the history: %s", error)
                self._working, self._stored = False, None
            except Exception:
                log.exception("failed to keep the history")
            time.sleep(PAUSE)

    def step(self, dictator: Receiver) -> None:
        """Brings etcd and the dictator up to date."""
        pause = self._pause.look_up().result()
        if self._stored is None:
            self._stored = {name: node.value for name, node in self._store.children(self._key).items()}
        known = self._ask(dictator)
        entries = {str(entry["id"]): _text(entry) for entry in known["entries"]}
        missing = sorted(set(self._stored) - set(entries) - self._refused)[-max(0, LENGTH - len(entries)) :]
        if len(entries) >= LENGTH:
            missing = []
        paused = None if pause is None else msgspec.to_builtins(pause)
        if missing or known["paused"] != paused:
            self._restore(dictator, missing, paused)
        self._save(self._stored, entries)

    def _restore(self, dictator: Receiver, missing: list[str], paused: object) -> None:
        given = 0
        for at in range(0, max(1, len(missing)), BATCH):
            batch = missing[at : at + BATCH]
            if self._give(dictator, batch, paused):
                given += len(batch)
                continue
            # one of them is no entry: somebody else has written it, or another version
            for name in batch:
                if self._give(dictator, [name], paused):
                    given += 1
                else:
                    self._refused.add(name)
                    log.warning("left out what is at %s/%s, which the dictator refuses", self._key, name)
        if given:
            log.info("gave the dictator %d entries of its history back", given)

    def _give(self, dictator: Receiver, names: list[str], paused: object) -> bool:
        """Whether the dictator takes the stored entries with these names."""
        stored = self._stored or {}
        entries = [msgspec.Raw(stored[name].encode()) for name in names]
        status, _ = self._exchange(dictator, "PUT", msgspec.json.encode({"entries": entries, "paused": paused}))
        if status not in (200, 400, 413):
            raise Unavailable(f"{dictator} answered {status} to a PUT")
        return status == 200

    def _save(self, stored: dict[str, str], entries: dict[str, str]) -> None:
        for name, text in entries.items():
            if stored.get(name) != text:
                self._store.put(f"{self._key}/{name}", text)
                stored[name] = text
        for name in sorted(stored)[:-LENGTH]:
            self._store.delete(f"{self._key}/{name}")
            del stored[name]

    def _ask(self, dictator: Receiver) -> Any:
        status, answer = self._exchange(dictator, "GET")
        if status != 200:
            raise Unavailable(f"{dictator} answered {status} to a GET")
        return msgspec.json.decode(answer)

    def _exchange(self, dictator: Receiver, method: str, body: bytes = b"") -> tuple[int, bytes]:
        (places,) = (place.result() for place in self._notifier.locate((dictator,)))
        return self._notifier.exchange(dictator, places, method, body)


def _dictator(receivers: tuple[Receiver, ...]) -> Receiver | None:
    """Where the history is: beside the first receiver's /master; None where no receiver has one."""
    for receiver in receivers:
        path = receiver.target.partition("?")[0]
        if path.endswith("/master"):
            return replace(receiver, target=f"{path.removesuffix('master')}history")
    return None


def _text(entry: Any) -> str:
    return msgspec.json.encode(entry).decode()
