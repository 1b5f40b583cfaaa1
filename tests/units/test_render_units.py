"""scripts/render-units.sh: the units of a second cluster."""

import subprocess
from pathlib import Path

import pytest

from sandbox.process import ROOT
from tests.units import fleet

# the registrar serves all clusters of a host
UNITS = sorted(path for path in (ROOT / "units").iterdir() if path.name != "redis-1-registrar.service")


def render(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["sh", str(ROOT / "scripts/render-units.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_renders_every_unit_under_another_name(tmp_path: Path) -> None:
    assert render("redis-2", str(tmp_path / "new")).returncode == 0
    rendered = sorted((tmp_path / "new").iterdir())
    assert [path.name for path in rendered] == [path.name.replace("redis-1", "redis-2") for path in UNITS]
    for path, unit in zip(rendered, UNITS, strict=True):
        assert path.read_text(encoding="utf-8") == unit.read_text(encoding="utf-8").replace("redis-1", "redis-2")


def test_puts_two_clusters_on_the_same_machines(tmp_path: Path) -> None:
    assert render("redis-2", str(tmp_path), "hosts=redis-1").returncode == 0
    for path in tmp_path.iterdir():
        text = path.read_text(encoding="utf-8")
        (metadata,) = [option.value for option in fleet.parse(text) if option.name == "MachineMetadata"]
        assert metadata == "hosts=redis-1"
        assert text.count("redis-1") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Redis-2", "{}"), "is not a cluster's name"),
        (("redis_2", "{}"), "is not a cluster's name"),
        (("redis.2", "{}"), "is not a cluster's name"),
        (("2-", "{}"), "is not a cluster's name"),
        (("", "{}"), "is not a cluster's name"),
        (("r" * 41, "{}"), "longer than 40 characters"),
        (("redis-2", "{}", "redis-2"), "is not metadata"),
        (("redis-2", "{}", "hosts="), "is not metadata"),
        (("redis-2", "{}", "hosts=a/b"), "is not metadata"),
        (("redis-2", str(ROOT / "units")), "where the units of redis-1 are"),
    ],
)
def test_refuses_what_fleet_or_dns_would_not_take(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = render(*(argument.format(tmp_path / "new") for argument in arguments))
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("arguments", [(), ("redis-2",), ("redis-2", "a", "hosts=b", "c")])
def test_tells_its_usage(arguments: tuple[str, ...]) -> None:
    done = render(*arguments)
    assert done.returncode == 2
    assert "usage: scripts/render-units.sh NAME DIRECTORY" in done.stderr


def test_fails_where_it_can_not_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = render("redis-2", str(tmp_path / "file"))
    assert done.returncode != 0
    assert "file" in done.stderr
