"""The version is the same wherever it is repeated, and the package works in a fresh virtual environment."""

import datetime as dt
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from safe_redis import __version__
from sandbox.process import ROOT

PACKAGES = ("safe_redis", "dictator", "dnsd", "topology_observer", "registrar", "redis_counter")
PROGRAMS = ("redis-counter", "safe-redis-dictator", "safe-redis-dnsd", "safe-redis-observer", "safe-redis-registrar")


def run(*argv: str | Path, cwd: Path = ROOT, **env: str) -> "subprocess.CompletedProcess[str]":
    base = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}
    return subprocess.run(argv, cwd=cwd, env=base | env, capture_output=True, text=True, check=False, timeout=100)


def succeeds(*argv: str | Path, cwd: Path = ROOT) -> str:
    done = run(*argv, cwd=cwd)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def matches(pattern: str, *paths: Path) -> set[str]:
    return {match for path in paths for match in re.findall(pattern, path.read_text(), re.MULTILINE)}


def test_the_images_labels_carry_the_version() -> None:
    dockerfiles = tuple(path for path in ROOT.glob("*/Dockerfile") if path.parent.name != "sandbox")
    assert len(dockerfiles) >= 5
    for dockerfile in dockerfiles:
        assert matches(r"^ARG VERSION=(.*)$", dockerfile) == {__version__}, dockerfile
        assert matches(r'image\.version="(.*?)"', dockerfile) == {"${VERSION}"}, dockerfile


def test_the_units_run_images_of_the_version() -> None:
    units = tuple(ROOT.glob("units/**/*.service"))
    images = matches(r"^Environment=\w+_IMAGE=(.*)$", *units)
    assert len(images) >= 4
    assert {image.rpartition(":")[2] for image in images} == {__version__}


def test_the_fleet_guide_names_the_version() -> None:
    assert matches(r"^version=(.*)$", ROOT / "docs/fleet.md") == {__version__}
    assert matches(r"safe-redis/[a-z-]+:(\d[\w.]*)", ROOT / "docs/fleet.md") == {__version__}


def test_the_changelog_begins_with_the_version_and_its_date() -> None:
    headings = re.findall(r"^## \[(.+)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0][0] == __version__
    dates = [dt.date.fromisoformat(date) for _, date in headings]
    assert dates == sorted(dates, reverse=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    archive = folder / "source.tar"
    # of a copy, since a build leaves a folder in the tree that it builds
    names = [*PACKAGES, "pyproject.toml", "README.md", "LICENSE"]
    with tarfile.open(archive, "w") as tar:
        for name in names:
            tar.add(ROOT / name, name, filter=lambda member: None if "__pycache__" in member.name else member)
    with tarfile.open(archive) as tar:
        tar.extractall(source, filter="data")
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    succeeds(*pip)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh virtual environment that has the package without extras."""
    venv = tmp_path_factory.mktemp("core")
    succeeds(sys.executable, "-m", "venv", venv)
    succeeds(venv / "bin/pip", "install", "--no-input", "--disable-pip-version-check", wheel)
    return venv / "bin"


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    files = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.name != "Dockerfile" and "__pycache__" not in path.parts
    }
    assert len(files) > 40
    assert files - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_the_core_needs_only_redis_and_dnspython(core: Path) -> None:
    installed = succeeds(core / "pip", "list", "--format", "freeze", "--disable-pip-version-check")
    names = {line.partition("==")[0].lower() for line in installed.splitlines()}
    # redis 8 needs async-timeout on Python 3.11.2 and older
    assert names - {"pip", "setuptools", "async-timeout"} == {"safe-redis", "redis", "dnspython"}


def test_the_core_is_imported_from_anywhere(core: Path, tmp_path: Path) -> None:
    version = succeeds(core / "python", "-c", "import safe_redis; print(safe_redis.__version__)", cwd=tmp_path)
    assert version == f"{__version__}\n"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_explains_itself_without_its_extra_and_says_which_it_lacks(core: Path, program: str) -> None:
    assert succeeds(core / program, "--help").startswith(f"usage: {program}")
    done = run(core / program)
    assert done.returncode == 2
    assert re.fullmatch(rf"{program}: \w+ is missing: pip install 'safe-redis\[[a-z-]+\]'\n", done.stderr)


def test_every_program_is_installed(core: Path) -> None:
    assert {path.name for path in core.iterdir()} >= set(PROGRAMS)


@pytest.mark.parametrize(
    "program", ["safe-redis-dictator", "safe-redis-dnsd", "safe-redis-observer", "safe-redis-registrar"]
)
def test_a_program_checks_its_settings(program: str) -> None:
    # of the tests' own environment, which has all extras
    done = run(Path(sys.executable).parent / program, PORT="none", ETCD_TIMEOUT="none", NOTIFIES="http://x/")
    assert done.returncode == 2
    assert done.stderr.startswith("SettingsError: ")
    assert "'none'" in done.stderr
