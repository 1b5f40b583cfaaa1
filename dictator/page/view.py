"""What the page shows, made of GET /master's state and the history. Pure: no I/O, no clock."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dictator.journal import Entry, History
from dictator.receipt import Receipt
from safe_redis.topology import Topology

WINDOW = ("pause", "drain", "fence", "promote")
SWITCHES = 10
REFUSALS = 5
# the width of a timeline, in units of its own
WIDTH = 1000.0


@dataclass(slots=True)
class Node:
    """An instance in the picture, with those that follow it."""

    name: str
    address: str
    role: str
    wanted: str
    link: str
    lag: int | None
    keys: int | None
    version: str
    epoch: int | None
    following: str
    problem: str
    followers: list["Node"] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether it is what it should be."""
        return not self.problem


@dataclass(frozen=True, slots=True)
class Bar:
    """One step in a timeline: where it begins and how long it is, in units of WIDTH."""

    step: str
    what: str
    ms: float
    x: float
    width: float
    in_window: bool


@dataclass(frozen=True, slots=True)
class Switch:
    """A change of master, with its steps as bars."""

    entry: Entry
    receipt: Receipt
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class View:
    """All that the template needs."""

    state: str
    headline: str
    nodes: tuple[Node, ...]
    trees: tuple[Node, ...]
    apart: tuple[Node, ...]
    wanted: tuple[str, ...]
    history: History
    latest: Entry | None
    switches: tuple[Switch, ...]
    refusals: tuple[Entry, ...]


def make(wanted: Topology | None, instances: Iterable[dict[str, Any]], history: History) -> View:
    """The view of what is wanted, what the instances say, and what was done."""
    names = tuple(str(instance) for instance in wanted.instances) if wanted else ()
    nodes = tuple(_node(instance, names) for instance in instances)
    trees, apart = _arrange(nodes)
    entries = tuple(reversed(history.entries))
    latest = max(entries, key=lambda entry: entry.last, default=None)
    state, headline = _headline(nodes, latest, paused=history.paused is not None)
    return View(
        state=state,
        headline=headline,
        nodes=nodes,
        trees=trees,
        apart=apart,
        wanted=names,
        history=history,
        latest=latest,
        switches=tuple(_switch(entry, receipt) for entry, receipt in _changes(entries))[:SWITCHES],
        refusals=tuple(entry for entry in entries if not entry.succeeded)[:REFUSALS],
    )


def _node(instance: dict[str, Any], wanted: tuple[str, ...]) -> Node:
    label = str(instance["instance"])
    match = re.fullmatch(r"(.*) \((.*)\)", label)
    name, address = (match[1], match[2]) if match else (label, label)
    error = str(instance.get("error", ""))
    role = "unreachable" if error else "parked" if instance["parked"] else str(instance["role"])
    node = Node(
        name=name,
        address="" if error else address,
        role=role,
        wanted="master" if name in wanted[:1] else "slave" if name in wanted else "",
        link=str(instance.get("link") or ""),
        lag=instance.get("lag"),
        keys=instance.get("keys"),
        version=str(instance.get("version") or ""),
        epoch=instance.get("epoch"),
        following=str(instance.get("following") or ""),
        problem=error,
    )
    node.problem = error or _problem(node)
    return node


def _problem(node: Node) -> str:
    if node.role == "parked":
        return "parked: it refuses writes until a topology is applied"
    if node.wanted and node.role != node.wanted:
        return f"is {node.role}, wanted as {node.wanted}"
    if node.role == "slave" and node.link != "up":
        return f"its link to {node.following} is {node.link or 'down'}"
    return ""


def _arrange(nodes: tuple[Node, ...]) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """Masters, and parked instances, with the trees of those that follow them; and those that belong to no tree."""
    by_address = {node.address: node for node in nodes if node.address}
    for node in nodes:
        leader = by_address.get(node.following)
        if leader and leader is not node:
            leader.followers.append(node)
    trees = tuple(node for node in nodes if node.role == "master" or (node.role == "parked" and node.followers))
    shown: set[int] = set()
    pending = list(trees)
    while pending:
        node = pending.pop()
        if id(node) not in shown:
            shown.add(id(node))
            pending += node.followers
    apart = tuple(node for node in nodes if id(node) not in shown)
    for node in apart:  # they may follow each other in a circle
        node.followers = []
    return trees, apart


def _headline(nodes: tuple[Node, ...], latest: Entry | None, *, paused: bool) -> tuple[str, str]:
    """The first thing that somebody who looks at the page should know: good, warning, bad or none, and a sentence."""
    unwell = [node for node in nodes if not node.well]
    refused = latest.result if latest and not latest.succeeded else ""
    still_open = latest.line if latest else ""
    count = "One instance is" if len(unwell) == 1 else f"{len(unwell)} instances are"
    no_master = bool(nodes) and all(node.role != "master" for node in nodes)
    candidates = (
        (no_master, "bad", "No master"),  # a pause, or a refusal, must not hide that
        (bool(refused), "bad", f"The last topology was not applied: {refused}"),
        (paused, "warning", "Paused: nothing is applied"),
        (not nodes, "none", "No topology has been applied since the dictator started"),
        (bool(unwell), "warning", f"{count} not as wanted"),
        (bool(still_open), "warning", still_open),
    )
    return next(((state, text) for applies, state, text in candidates if applies), ("good", "All is as wanted"))


def _changes(entries: tuple[Entry, ...]) -> Iterable[tuple[Entry, Receipt]]:
    return ((entry, entry.receipt) for entry in entries if entry.receipt and entry.receipt.window_ms is not None)


def _switch(entry: Entry, receipt: Receipt) -> Switch:
    total = sum(step.ms for step in receipt.steps) or 1.0
    bars, x = [], 0.0
    for step in receipt.steps:
        width = step.ms / total * WIDTH
        bars.append(Bar(step.step, step.what, step.ms, round(x, 2), round(width, 2), step.step in WINDOW))
        x += width
    return Switch(entry, receipt, tuple(bars))
