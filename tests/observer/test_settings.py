"""A bad setting stops the start with a line that names the variable and the value."""

from pathlib import Path

import pytest

from sandbox.process import wait_until
from tests.observer.conftest import Observer

BAD = {
    "no_receiver": ({"NOTIFIES": ""}, "NOTIFIES is not set"),
    "only_commas": ({"NOTIFIES": ","}, "NOTIFIES names no URL"),
    "not_a_url": ({"NOTIFIES": "dictator/master"}, "NOTIFIES='dictator/master'"),
    "other_scheme": ({"NOTIFIES": "ftp://dictator/master"}, "NOTIFIES='ftp://dictator/master'"),
    "bad_port_in_url": ({"NOTIFIES": "http://dictator:99999/"}, "NOTIFIES='http://dictator:99999/'"),
    "etcd_url": ({"ETCD_MACHINES": "ftp://x"}, "ETCD_MACHINES='ftp://x'"),
    "etcd_peers": ({"ETCD_MACHINES": "", "ETCD_PEERS": "http://x:port"}, "ETCD_PEERS='http://x:port'"),
    "trigger": ({"TRIGGER": "config/trigger"}, "TRIGGER='config/trigger'"),
    "read": ({"READ": "/config/"}, "READ='/config/'"),
    "dns": ({"NOTIFIES": "http://dictator/master", "DNS": "ns.docker"}, "DNS='ns.docker'"),
    "dns_port": ({"DNS_PORT": "0"}, "DNS_PORT='0'"),
    "timeout": ({"NOTIFY_TIMEOUT": "soon"}, "NOTIFY_TIMEOUT='soon'"),
    "resync_interval": ({"RESYNC_INTERVAL": "-1"}, "RESYNC_INTERVAL='-1'"),
    "token_file": ({"TOKEN_FILE": "/no/such/file"}, "TOKEN_FILE='/no/such/file'"),
    "ca_file": ({"NOTIFIES": "https://x/", "NOTIFY_CA_FILE": "/no/such/file"}, "NOTIFY_CA_FILE='/no/such/file'"),
    "cert_file": ({"NOTIFIES": "https://x/", "NOTIFY_CERT_FILE": "/no/such/file"}, "NOTIFY_CERT_FILE='/no/such/file'"),
    "key_alone": ({"NOTIFIES": "https://x/", "NOTIFY_KEY_FILE": "/no/such/file"}, "NOTIFY_KEY_FILE is set"),
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
