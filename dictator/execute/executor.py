"""Runs the steps of a plan one by one, rolls back where one fails, and reports each.

Effects are read from the instances, never taken from an `OK`. When a plan turns out not to fit any more, run() says so,
and its caller observes and plans anew.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from dictator.execute import completion, preparation, rights
from dictator.execute.run import Figures, Run, Stale
from dictator.execute.window import Window
from dictator.link import Runtime
from dictator.plan import Plan
from dictator.receipt import Receipt
from dictator.settings import Settings
from dictator.steps import (
    CheckRights,
    Drain,
    Fence,
    Follow,
    Halt,
    HandOver,
    Intend,
    Lift,
    Park,
    Pause,
    Prepare,
    Promote,
    Reparent,
    Replan,
    Step,
    Tidy,
    Verify,
    WriteRecord,
)
from safe_redis.early import Hint
from safe_redis.errors import Interrupted, TopologyError

log = logging.getLogger(__name__)

# clients wait while these are done, and must not wait for a log file as well
WINDOW_STEPS = (Pause, Drain, Fence, Promote)


class Executor:
    """One run of one plan. `receipt` is filled step by step, also where it ends in an error; `tell` as in apply."""

    def __init__(self, runtime: Runtime, settings: Settings, receipt: Receipt, tell: Callable[[Hint], None]) -> None:
        self._run = Run(runtime, settings, receipt, tell)
        window = Window(self._run)
        self._unreported: list[tuple[Step, float, Figures]] = []
        self._handlers: dict[type[Step], Callable[[Run, Any], Figures]] = {
            CheckRights: rights.check_rights,
            Park: preparation.park,
            Lift: preparation.lift,
            WriteRecord: preparation.write_record,
            Prepare: preparation.prepare,
            Reparent: preparation.reparent,
            Verify: rights.verify,
            Intend: preparation.intend,
            Halt: preparation.halt,
            Pause: window.pause,
            Drain: window.drain,
            Fence: window.fence,
            Promote: window.promote,
            HandOver: window.hand_over,
            Follow: completion.follow,
            Tidy: completion.tidy,
        }

    def run(self, plan: Plan) -> bool:
        """Whether the plan is done; False when it is time to observe and plan anew. Raises after rolling back."""
        try:
            for step in plan.steps:
                if isinstance(step, Replan):
                    return False
                self._timed(step)
        except Stale as reason:
            log.warning("abandoned the plan: %s", reason)
            left = self._run.roll_back()
            if left:
                raise Interrupted(f"{reason}; could not be rolled back: {left}") from reason
            return False
        except TopologyError as error:
            left = self._run.roll_back()
            if left:
                raise Interrupted(f"{error}; could not be rolled back: {left}") from error
            raise
        except Exception:  # a fault of ours must not leave the source fenced either
            self._run.roll_back()
            raise
        finally:
            self._report()
        return True

    def _timed(self, step: Step) -> None:
        started = time.perf_counter()
        figures = self._handlers[type(step)](self._run, step)
        self._unreported.append((step, (time.perf_counter() - started) * 1000, figures))
        if not isinstance(step, WINDOW_STEPS):
            self._report()

    def _report(self) -> None:
        """Puts the steps that were done since the last time into the receipt and the log."""
        receipt = self._run.receipt
        for step, ms, figures in self._unreported:
            receipt.changed = True
            receipt.add(step.name, str(step), ms, figures)
            log.info("%s: %.2f ms%s", step, ms, "".join(f", {name} {value}" for name, value in figures.items()))
        self._unreported.clear()
