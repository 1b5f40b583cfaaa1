"""Unit files as fleet handles them: parsed, held against its rules, and written to a host for systemd. Pure: no I/O.

Source: fleet 1.0 (api/units.go, job/job.go) and the parser that it uses, go-systemd's unit package. The file that
reaches a host isn't the one that was submitted: comments are gone, continued lines are joined.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

KEYS = frozenset({"MachineID", "MachineOf", "MachineMetadata", "Conflicts", "Replaces", "Global"})
KEYS_OF_GLOBAL_UNITS = frozenset({"MachineMetadata", "Conflicts", "Global"})
LONGEST_LINE = 2048


class UnitError(Exception):
    """What fleet's parser refuses, or reads otherwise than systemd; the message shows the line."""


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of a unit, its continued lines joined."""

    section: str
    name: str
    value: str


def parse(text: str) -> tuple[Option, ...]:
    """The options of a unit file, in their order."""
    options: list[Option] = []
    section = ""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(("#", ";")):
            if line.rstrip().endswith("\\"):
                raise UnitError(f"the comment goes on in the next line: {line}")
        elif line.startswith("["):
            section = line.strip().strip("[]")
        elif line.strip():
            name, equals, value = line.partition("=")
            if not equals:
                raise UnitError(f"neither a section, a comment nor an option: {line}")
            options.append(Option(section, name.strip(), _joined(value, lines)))
    return tuple(options)


def _joined(value: str, lines: Iterator[str]) -> str:
    parts: list[str] = []
    # wherever a backslash stands, go-systemd of that time takes the last one of a line for the line's end
    while "\\" in value:
        head, _, lost = value.rpartition("\\")
        if lost or "\\" in head:
            raise UnitError(f"a backslash that isn't the end of its line: {value}")
        parts.append(head)
        value = next(lines, "")
        if value.lstrip().startswith(("#", ";")):
            raise UnitError(f"a comment within a continued line becomes part of it: {value}")
    joined = " ".join([*parts, value]).strip()
    if len(joined) > LONGEST_LINE:
        raise UnitError(f"{len(joined)} characters in one line, {LONGEST_LINE} are allowed: {joined[:60]}...")
    return joined


def problems(unit: Sequence[Option]) -> tuple[str, ...]:
    """Why fleet would refuse the unit, or not do what it says; nothing if it is fine."""
    problems = []
    fleet = [option for option in unit if option.section == "X-Fleet"]
    is_global = any(option.name == "Global" and option.value == "true" for option in fleet)
    for option in fleet:
        if option.name not in KEYS:
            problems.append(f"fleet knows no {option.name}")
        elif is_global and option.name not in KEYS_OF_GLOBAL_UNITS:
            problems.append(f"{option.name} can't be used with Global")
        elif option.name == "MachineMetadata" and not all(_pair(option.value)):
            problems.append(f"MachineMetadata={option.value} is passed over: not of the form key=value")
    if any(option.section == "Install" for option in unit):
        problems.append("[Install] lets systemd start the unit at boot, without fleet, which then loses its state")
    return tuple(problems)


def _pair(value: str) -> tuple[str, ...]:
    parts = tuple(value.split("="))
    return parts if len(parts) == 2 else ("",)


def written(unit: Sequence[Option]) -> str:
    """The unit file that fleet puts on a host."""
    sections = dict.fromkeys(option.section for option in unit)
    return "\n".join(
        "".join(
            [f"[{section}]\n", *(f"{option.name}={option.value}\n" for option in unit if option.section == section)]
        )
        for section in sections
    )
