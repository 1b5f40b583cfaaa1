"""setup.sh: quick when there is nothing to do, and clear when it can't do what there is."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sandbox.process import ROOT

TOOLS = ("sh", "awk", "cat", "dirname", "env", "flock", "grep", "id", "mkdir", "sha256sum", "sort", "apt-get")


@pytest.fixture
def checkout() -> Iterator[Path]:
    """As much of a fresh clone as setup.sh looks at, where anybody may write, unlike in pytest's own folders."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("scripts", "locks"):
            shutil.copytree(ROOT / part, folder / part)
        folder.chmod(0o777)
        yield folder


@pytest.fixture
def bare_path(checkout: Path) -> str:
    """A PATH with the tools that setup.sh itself needs, and no server."""
    folder = checkout / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    (folder / "python3").symlink_to(sys.executable)
    return str(folder)


def setup(
    checkout: Path, *arguments: str, env: dict[str, str] | None = None, user: int | None = None
) -> tuple[int, str]:
    """Exit status and all that it says."""
    done = subprocess.run(
        ["/bin/sh", "scripts/setup.sh", *arguments],
        cwd=checkout,
        env=env,
        user=user,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("level", ["demo", "test"])
def test_does_nothing_and_says_nothing_when_all_is_there(level: str) -> None:
    before = (ROOT / ".setup/test").stat().st_mtime_ns
    assert setup(ROOT, level) == (0, "")
    assert (ROOT / ".setup/test").stat().st_mtime_ns == before


def test_an_unknown_level_is_refused(checkout: Path) -> None:
    status, said = setup(checkout, "tset")
    assert status == 1
    assert "tset" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
def test_without_root_it_says_exactly_what_to_install(checkout: Path, bare_path: str) -> None:
    status, said = setup(checkout, env={"PATH": bare_path}, user=65534)
    assert status == 1
    assert "sudo apt-get update && sudo apt-get install " in said
    packages = said.split("apt-get install ")[1].split()
    packages = [name for name in packages if "python3" not in name]  # that user may not see our Python
    assert packages == ["bind9-dnsutils", "curl", "etcd-server", "jq", "redis-server", "redis-tools"]
    assert not (checkout / ".venv").exists()


def test_without_apt_it_says_what_is_missing(checkout: Path, bare_path: str) -> None:
    (Path(bare_path) / "apt-get").unlink()
    status, said = setup(checkout, env={"PATH": bare_path})
    assert status == 1
    assert "redis-server" in said
    assert "no apt-get here" in said
