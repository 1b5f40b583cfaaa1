"""The receipt of one apply: what was done, how long it took, and what is still open. Pure: no I/O, no clock."""

from typing import Any

import msgspec

Figure = str | int | float


class StepDone(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One step: what was intended, its duration in ms, and what was read on the way (offsets in bytes)."""

    step: str
    what: str
    ms: float
    figures: dict[str, Figure] = {}


class Receipt(msgspec.Struct, kw_only=True):
    """What an apply answers in JSON. `window_ms`: from the pause to the promotion; None without a handover."""

    master: str
    source: str = ""
    changed: bool = False
    window_ms: float | None = None
    duration_ms: float = 0.0
    steps: list[StepDone] = []
    discarded: list[str] = []
    syncing: list[str] = []
    left_out: list[str] = []
    warnings: list[str] = []

    @property
    def open(self) -> str:
        """What is still to be done, in one line; empty where everything is as wanted."""
        left_out = [f"left out: {instance}" for instance in self.left_out]
        return "; ".join(left_out + [f"not following yet: {reason}" for reason in self.syncing])

    def json(self) -> bytes:
        """The receipt as JSON."""
        return msgspec.json.encode(self)

    def add(self, step: str, what: str, ms: float, figures: dict[str, Any]) -> None:
        """Notes one step as done."""
        self.steps.append(StepDone(step=step, what=what, ms=round(ms, 3), figures=figures))
