"""A bad setting stops the start with a line that names the variable; a secret in it is not shown."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.process import ROOT


def start(**env: str) -> "subprocess.CompletedProcess[str]":
    """A start that is expected to fail."""
    return subprocess.run(
        [sys.executable, "-m", "dictator"],
        env={"PATH": os.environ["PATH"], **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "http"),
        ("PORT", "65536"),
        ("BIND", "localhost"),
        ("NAMESERVERS", "dns.example"),
        ("NAMESERVERS_PORT", "0"),
        ("SEARCHLIST", ".."),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("REDIS_TLS", "/nonexistent/ca.pem"),
        ("REDIS_PASSWORD_FILE", "/nonexistent/password"),
        ("ALLOWED_NETWORKS", "core-01"),
        ("ALLOWED_NETWORKS", "10.0.0.1/8"),
        ("MAX_INSTANCES", "0"),
        *(
            (f"{name}_TIMEOUT", bad)
            for name in ("CONNECT", "REPLY", "SYNC", "PAUSE", "FOLLOW", "APPLY", "TURN", "RESOLVE")
            for bad in ("0", "soon")
        ),
    ],
)
def test_a_bad_value_stops_the_start_and_is_named(variable: str, value: str) -> None:
    ended = start(**{variable: value})
    assert ended.returncode == 2
    assert f"{variable}=" in ended.stderr
    assert value in ended.stderr
    assert ended.stderr.count("\n") == 1, "one line, and no traceback"


def test_two_passwords_stop_the_start_and_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("in-the-file\n")
    ended = start(REDIS_PASSWORD="in-the-variable", REDIS_PASSWORD_FILE=str(tmp_path / "password"))
    assert ended.returncode == 2
    assert "REDIS_PASSWORD and REDIS_PASSWORD_FILE are both set" in ended.stderr
    assert "in-the" not in ended.stderr


def test_an_empty_password_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "password").touch()
    ended = start(REDIS_PASSWORD_FILE=str(tmp_path / "password"))
    assert ended.returncode == 2
    assert f"REDIS_PASSWORD_FILE='{tmp_path / 'password'}'" in ended.stderr


def test_a_file_without_certificates_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate\n")
    ended = start(REDIS_TLS=str(tmp_path / "ca.pem"))
    assert ended.returncode == 2
    assert f"REDIS_TLS='{tmp_path / 'ca.pem'}'" in ended.stderr
