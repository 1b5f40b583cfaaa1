"""Every path, command, module and link that README, CONTRIBUTING and docs/ name exists."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.process import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
FOLDERS = tuple(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
# `dictator/plan.py`, scripts/demo.sh, `tests/dictator/test_*.py`: a path from the root, as far as it is written out
START = "|".join(map(re.escape, (*FOLDERS, ".ci")))
PATH = re.compile(rf"(?<![\w./:-])((?:{START})/[\w./*-]*[\w*]|docker-compose\.test\.yml)")
MODULE = re.compile(r"\bpython3? -m ([a-z_][\w.]*\w)")
SCRIPT = re.compile(r"(?<![\w/.-])`?([a-z][a-z-]*\.sh)\b")
LINK = re.compile(r"\]\(([^)\s]+)\)")
# of other packages
FOREIGN = {"pytest", "pip", "venv", "build"}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> Iterator[str]:
    """The anchors of a page's headings, as a forge makes them."""
    for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pages
def test_every_path_exists(page: Path) -> None:
    named = set(PATH.findall(page.read_text()))
    assert {path for path in named if not any(ROOT.glob(path))} == set()


@pages
def test_every_script_exists(page: Path) -> None:
    named = set(SCRIPT.findall(page.read_text()))
    assert {name for name in named if not (ROOT / "scripts" / name).exists()} == set()


@pages
def test_every_module_that_is_run_exists(page: Path) -> None:
    named = set(MODULE.findall(page.read_text())) - FOREIGN
    assert {name for name in named if importlib.util.find_spec(name) is None} == set()


@pages
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        goal = (page.parent / name).resolve() if name else page
        assert goal.exists(), link
        assert not anchor or anchor in anchors(goal), link


def test_paths_and_scripts_are_found_where_they_are_named() -> None:
    text = "see `dictator/plan.py`, sh scripts/demo.sh, `pause-it.sh`, python -m bench.chain, [x](docs/y.md#z)"
    assert PATH.findall(text) == ["dictator/plan.py", "scripts/demo.sh", "docs/y.md"]
    assert SCRIPT.findall(text) == ["pause-it.sh"]
    assert MODULE.findall(text) == ["bench.chain"]
    assert LINK.findall(text) == ["docs/y.md#z"]
