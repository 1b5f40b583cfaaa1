"""A bad setting stops the start with a line that names the variable and the value."""

from pathlib import Path

import pytest

from dnsd.settings import Settings, read
from safe_redis.errors import SettingsError
from sandbox.etcd import EtcdServer
from sandbox.process import wait_until
from tests.dnsd.conftest import Dnsd, StartDnsd

BAD = {
    "ttl": ({"TTL": "half"}, "TTL='half'"),
    "ttl_zero": ({"TTL": "0"}, "TTL='0'"),
    "ttl_refresh": ({"TTL_REFRESH": "-1"}, "TTL_REFRESH='-1'"),
    "ttl_refresh_as_long_as_ttl": ({"TTL": "15"}, "TTL_REFRESH=20: must be less than TTL=15"),
    "record_ttl": ({"RECORD_TTL": "0"}, "RECORD_TTL='0'"),
    "publish_domain": ({"PUBLISH_DOMAIN": "redis 1"}, "PUBLISH_DOMAIN='redis 1'"),
    "publish_domain_with_an_empty_label": ({"PUBLISH_DOMAIN": "redis..docker"}, "PUBLISH_DOMAIN='redis..docker'"),
    "etcd_peers": ({"ETCD_PEERS": "http://a:4001 http://b:x"}, "ETCD_PEERS='http://b:x'"),
    "etcd_peers_with_a_path": ({"ETCD_PEERS": "http://a:4001/v2"}, "ETCD_PEERS='http://a:4001/v2'"),
    "linked_port": ({"ETCD_PORT_4001_TCP_PORT": "tcp"}, "ETCD_PORT_4001_TCP_PORT='tcp'"),
    "linked_address": ({"ETCD_PORT_4001_TCP_ADDR": "a b[", "ETCD_PEERS": ""}, "ETCD_PORT_4001_TCP_ADDR="),
    "password_file": ({"ETCD_PASSWORD_FILE": "/no/such/file"}, "ETCD_PASSWORD_FILE='/no/such/file'"),
    "two_passwords": ({"ETCD_PASSWORD_FILE": "/x", "ETCD_PASSWORD": "y"}, "ETCD_PASSWORD and ETCD_PASSWORD_FILE"),
    "port": ({"PORT": "65536"}, "PORT='65536'"),
    "bind": ({"BIND": "everywhere"}, "BIND='everywhere'"),
    "token_file": ({"TOKEN_FILE": "/no/such/file"}, "TOKEN_FILE='/no/such/file'"),
    "two_tokens": ({"TOKEN_FILE": "/x", "TOKEN": "y"}, "TOKEN and TOKEN_FILE"),
    "certificate": ({"TLS_CERT_FILE": "/no/such/file"}, "TLS_CERT_FILE='/no/such/file'"),
    "key_alone": ({"TLS_KEY_FILE": "/no/such/file"}, "TLS_CERT_FILE is not set"),
    "client_ca_alone": ({"TLS_CLIENT_CA_FILE": "/no/such/file"}, "TLS_CERT_FILE is not set"),
    "log_format": ({"LOG_FORMAT": "xml"}, "LOG_FORMAT='xml'"),
}


@pytest.mark.parametrize(("env", "message"), BAD.values(), ids=BAD)
def test_a_bad_setting_is_named(env: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(env)
    assert message in str(error.value)


def test_a_bad_setting_stops_the_start(etcd: EtcdServer, tmp_path: Path) -> None:
    dnsd = Dnsd(etcd, tmp_path / "log", TTL="5", TTL_REFRESH="5")
    dnsd.process.start()
    wait_until(lambda: not dnsd.running, "it ends")
    assert dnsd.process.returncode == 2
    assert dnsd.process.log.read_text().startswith("SettingsError: TTL_REFRESH=5: must be less than TTL=5")


def test_the_defaults() -> None:
    settings, _ = read({})
    assert settings == Settings(publish_domain="docker", ttl=60, ttl_refresh=20, record_ttl=5, port=8080)


def test_ttl_and_domain_are_taken_from_the_environment(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(PUBLISH_DOMAIN="Other.docker.", TTL="77")
    assert dnsd.put("core-01", "core-02")[0] == 200
    for name in ("master", "slaves/core-02"):
        node = dnsd.etcd.keys.node(f"/skydns/docker/other/{name}")
        assert node is not None
        assert 60 < node["ttl"] <= 77


def test_the_default_domain_is_docker(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(PUBLISH_DOMAIN="")
    assert dnsd.put("core-01")[0] == 200
    assert dnsd.etcd.keys.get("/skydns/docker/master") == '{"host":"10.0.0.1","port":49151,"ttl":5}'


def test_a_docker_link_tells_where_etcd_is(etcd: EtcdServer, start_dnsd: StartDnsd) -> None:
    link = {"ETCD_PORT_4001_TCP_ADDR": "127.0.0.1", "ETCD_PORT_4001_TCP_PORT": str(etcd.port)}
    dnsd = start_dnsd(ETCD_PEERS="", **link)
    assert dnsd.put("core-01")[0] == 200


def test_peers_are_asked_one_after_the_other(etcd: EtcdServer, start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(ETCD_PEERS=f"http://127.0.0.1:1 {etcd.url}")
    assert dnsd.put("core-01", "core-02")[0] == 200


def test_logs_json_where_told_to(start_dnsd: StartDnsd) -> None:
    dnsd = start_dnsd(LOG_FORMAT="json")
    dnsd.put("core-01")
    dnsd.logs('"message": "published core-01.redis-1.docker as master, 0 slaves"')
