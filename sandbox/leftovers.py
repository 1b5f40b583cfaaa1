"""Finds the processes that a test run has left, by the mark that every descendant inherits."""

from pathlib import Path
from typing import NamedTuple

from sandbox.process import MARK


class Leftover(NamedTuple):
    """A process that still exists, with its command line."""

    pid: int
    command: str


def find(run: str) -> tuple[Leftover, ...]:
    """All processes with `run` as their mark, except zombies."""
    wanted = f"{MARK}={run}".encode()
    leftovers = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            marked = wanted in (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended, or belongs to another user
            continue
        if marked and command:
            leftovers.append(Leftover(int(folder.name), command.strip()))
    return tuple(sorted(leftovers))
