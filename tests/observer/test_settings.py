"""A bad setting stops the start with a line that names the variable and the value."""

from pathlib import Path

import pytest

from sandbox.process import wait_until
from tests.observer.conftest import Observer

BAD = {
    "no_receiver": ({"NOTIFIES": ""}, "NOTIFIES is not set"),
    "only_commas": ({"NOTIFIES": ","}, "NOTIFIES names no URL"),
    "not_a_url": ({"NOTIFIES": "dictator/master"}, "NOTIFIES='dictator/master'"),
    "other_scheme": ({"NOTIFIES": "https://dictator/master"}, "NOTIFIES='https://dictator/master'"),
    "bad_port_in_url": ({"NOTIFIES": "http://dictator:99999/"}, "NOTIFIES='http://dictator:99999/'"),
    "etcd_url": ({"ETCD_MACHINES": "ftp://x"}, "ETCD_MACHINES='ftp://x'"),
    "etcd_peers": ({"ETCD_MACHINES": "", "ETCD_PEERS": "http://x:port"}, "ETCD_PEERS='http://x:port'"),
    "trigger": ({"TRIGGER": "config/trigger"}, "TRIGGER='config/trigger'"),
    "read": ({"READ": "/config/"}, "READ='/config/'"),
    "dns": ({"NOTIFIES": "http://dictator/master", "DNS": "ns.docker"}, "DNS='ns.docker'"),
    "dns_port": ({"DNS_PORT": "0"}, "DNS_PORT='0'"),
    "timeout": ({"NOTIFY_TIMEOUT": "soon"}, "NOTIFY_TIMEOUT='soon'"),
    "log_level": ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL='LOUD'"),
}


@pytest.mark.parametrize(("env", "message"), BAD.values(), ids=BAD)
def test_a_bad_setting_is_named(tmp_path: Path, env: dict[str, str], message: str) -> None:
    observer = Observer("http://127.0.0.1:1", "http://127.0.0.1:1/", tmp_path / "log", **env)
    observer.start()
    wait_until(lambda: not observer.running, "it ends")
    assert observer.returncode == 2
    lines = observer.log.read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("SettingsError: ")
    assert message in lines[0]
