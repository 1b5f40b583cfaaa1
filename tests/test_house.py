"""The rules of the house that a linter doesn't hold: sizes, imports and names."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("safe_redis", "dictator", "dnsd", "topology_observer", "registrar", "redis_counter")
OTHERS = ("redis-counter", "sandbox", "bench", "tests")
LONGEST_MODULE = 250
LONGEST_FUNCTION = 30

# each of these says nothing of what it holds
VAGUE = {"told", "untold", "each", "found", "since", "look", "bed", "one_put", "side_by_side"}


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in sources(*PRODUCT)}


def imports(name: str) -> Iterator[str]:
    """The product's modules that one imports while it is loaded; a package stands for what is taken from it."""
    for node in ast.parse(MODULES[name].read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            yield from submodules or {node.module} & MODULES.keys()


def identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name


@pytest.mark.parametrize("name", MODULES)
def test_a_module_and_its_functions_are_short(name: str) -> None:
    text = MODULES[name].read_text()
    assert len(text.splitlines()) <= LONGEST_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, node.name


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter({name: set(imports(name)) for name in MODULES}).prepare()


def test_names_say_what_they_hold() -> None:
    used = {path: VAGUE.intersection(identifiers(ast.parse(path.read_text()))) for path in sources(*PRODUCT, *OTHERS)}
    assert not {str(path.relative_to(ROOT)): names for path, names in used.items() if names}
