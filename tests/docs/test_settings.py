"""docs/settings.md names every setting of every program, with its default, and no other."""

import re
from typing import Any

import msgspec
import pytest

import dictator.settings
import dnsd.settings
import registrar.settings
import topology_observer.settings
from redis_counter import counter
from sandbox.process import ROOT

PROGRAMS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "dictator": (dictator.settings.Settings,),
    "dnsd": (dnsd.settings.Settings, dnsd.settings.StoreSettings),
    "observer": (topology_observer.settings.Settings, topology_observer.settings.StoreSettings),
    "registrar": (registrar.settings.Settings, registrar.settings.StoreSettings),
    "redis-counter": (counter.Settings,),
}
ROW = re.compile(r"^\| `([A-Z0-9_]+)` \| (.*?) ?\| .+ \|$", re.MULTILINE)


def sections() -> dict[str, dict[str, str]]:
    """The default of each variable, by the section's heading."""
    parts = re.split(r"^## (.*)$", (ROOT / "docs/settings.md").read_text(), flags=re.MULTILINE)[1:]
    return {heading: dict(ROW.findall(body)) for heading, body in zip(parts[::2], parts[1::2], strict=True)}


def documented(program: str) -> dict[str, str]:
    """What the page says of a program: its own section, and those that it shares with others."""
    shared = [heading for heading in sections() if program in re.findall(r"[\w-]+", heading)]
    assert program in shared
    return {name: default for heading in ("Every service", *shared) for name, default in sections()[heading].items()}


def shown(default: Any) -> str:
    if default is msgspec.NODEFAULT:
        return "required"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, int | float):
        return f"{default:.10g}"
    return " ".join(default) if isinstance(default, tuple) else str(default)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_page_has_every_setting_and_its_default(program: str) -> None:
    fields = [field for kind in PROGRAMS[program] for field in msgspec.structs.fields(kind)]
    assert documented(program) == {field.encode_name.upper(): shown(field.default) for field in fields}


def test_every_row_belongs_to_a_program() -> None:
    text = (ROOT / "docs/settings.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(section) for section in sections().values())
    for heading in sections():
        words = re.findall(r"[\w-]+", heading)
        assert heading == "Every service" or set(words) & set(PROGRAMS), heading
