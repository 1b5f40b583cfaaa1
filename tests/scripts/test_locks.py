"""The lock files: what pyproject.toml asks for, with hashes, and one version of each for all programs."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sandbox.process import ROOT

EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
LOCKS = {path.stem: path for path in (ROOT / "locks").glob("*.txt")}


def pins(path: Path) -> dict[str, set[str]]:
    """The versions that a lock file has of each package; several where they depend on the Python."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", path.read_text(), re.MULTILINE):
        versions.setdefault(name, set()).add(version)
    return versions


def test_there_is_a_lock_for_each_program_and_one_for_development() -> None:
    assert set(LOCKS) == set(EXTRAS)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_satisfies_what_is_asked_for(name: str) -> None:
    pinned = pins(LOCKS[name])
    for text in EXTRAS[name]:
        requirement = Requirement(text)
        if requirement.name == "safe-redis":
            continue
        assert requirement.name in pinned, f"{text}: sh scripts/lock.sh"
        assert all(version in requirement.specifier for version in pinned[requirement.name])


@pytest.mark.parametrize("name", LOCKS)
def test_what_ships_is_what_is_tested(name: str) -> None:
    developed = pins(LOCKS["dev"])
    assert all(versions <= developed[package] for package, versions in pins(LOCKS[name]).items())


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_its_hashes(name: str) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", LOCKS[name].read_text())
    packages = [entry for entry in entries if re.match(r"[a-z0-9.-]+==", entry)]
    assert len(packages) == sum(map(len, pins(LOCKS[name]).values()))
    assert all("--hash=sha256:" in entry for entry in packages)


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_names_a_host(name: str) -> None:
    text = LOCKS[name].read_text()
    assert "://" not in text
    assert "index-url" not in text


def test_every_requirement_has_an_upper_bound() -> None:
    for extra, texts in EXTRAS.items():
        for text in texts:
            requirement = Requirement(text)
            bounds = {specifier.operator for specifier in requirement.specifier}
            assert requirement.name == "safe-redis" or bounds & {"<", "=="}, f"{extra}: {text}"


def test_the_self_reference_names_every_program() -> None:
    (ours,) = [Requirement(text) for text in EXTRAS["dev"] if text.startswith("safe-redis")]
    assert ours.extras == set(EXTRAS) - {"dev"}
