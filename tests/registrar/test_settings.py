"""What stops the registrar's start, with a message that names the variable."""

import os
import subprocess
import sys

import pytest

from sandbox.process import ROOT


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("HOST_IP", "", "HOST_IP is not set"),
        ("HOST_IP", "core-01", "HOST_IP='core-01': not an IP address"),
        ("DOMAIN", "a b", "DOMAIN='a b': not a domain"),
        ("TTL_REFRESH", "30", "TTL_REFRESH=30: must be less than TTL=30"),
        ("ETCD_PEERS", "ftp://a", "ETCD_PEERS='ftp://a'"),
        ("ETCD_API", "v4", "ETCD_API='v4'"),
    ],
)
def test_a_bad_value_stops_the_start(variable: str, value: str, message: str) -> None:
    env = {"PATH": os.environ["PATH"], "HOST_IP": "10.0.0.1", variable: value}
    done = subprocess.run(
        [sys.executable, "-m", "registrar"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"SettingsError: {message}")
