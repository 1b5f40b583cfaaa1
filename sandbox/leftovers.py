"""Finds what a run has left running, by the mark that every descendant inherits."""

from pathlib import Path
from typing import NamedTuple

from sandbox.process import MARK


class Leftover(NamedTuple):
    """A process that is still there, with its command line."""

    pid: int
    command: str


def find(run: str) -> tuple[Leftover, ...]:
    """Every live process with `run` as its mark; zombies are gone but for their parent's wait."""
    wanted = f"{MARK}={run}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            marked = wanted in (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended while we looked, or isn't ours to look into
            continue
        if marked and command:
            found.append(Leftover(int(folder.name), command.strip()))
    return tuple(sorted(found))
