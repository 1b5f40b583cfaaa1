"""The path to redis: the documented ACL rule and no more, passwords from a file, TLS; and no secret is ever shown."""

import json
import re
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dictator.receipt import Receipt
from safe_redis.errors import TopologyError
from sandbox.process import ROOT, free_port, wait_until
from tests.dictator.group import PATIENCE, Group, fill
from tests.dictator.service import Service, document
from tests.dictator.sweep import FLAVOURS

DOC = ROOT / "docs" / "security.md"
PASSWORD = "s3cret-of-the-dictator"
OPERATOR = "s3cret-of-the-operator"


def rule(user: str) -> str:
    """The rule as it is documented, with the password of this test."""
    match = re.search(rf"^user {user} (.*)$", DOC.read_text(), re.MULTILINE)
    assert match
    return re.sub(r">\S+", f">{PASSWORD}", match[1])


PERMISSIONS = [word for word in rule("dictator").split() if word[0] in "+&"]


def guarded(group: Group, flavour: str, dictator: str) -> Group:
    """Instances that know the documented users besides the operator's own."""
    users = {"user dictator": dictator, "user replica": rule("replica")}
    link = {"masteruser": "replica", "masterauth": PASSWORD}
    group.password = OPERATOR
    group.add("a", "b", "c", flavour=flavour, config={**users, **link, "requirepass": OPERATOR, "appendonly": "yes"})
    fill(group["a"])
    group.follow("a", "b", "c")
    # so that there is something to tidy up
    group["c"].config_set("min-replicas-to-write", 1_000_000)
    return group


def switch(group: Group, seconds: float = PATIENCE) -> Receipt:
    login: dict[str, Any] = {"redis_username": "dictator", "redis_password": PASSWORD}
    return group.apply("b", "a", "c", sync_timeout=seconds, follow_timeout=seconds, **login)


def complaint(group: Group) -> str:
    """What is said of a switch that lacks a permission."""
    try:
        return "; ".join(switch(group, 2).warnings)
    except TopologyError as error:
        return f"{error.status} {error}"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_documented_rule_is_enough(group: Group, flavour: str) -> None:
    guarded(group, flavour, rule("dictator"))
    receipt = switch(group)
    assert (receipt.open, receipt.warnings) == ("", [])
    assert int(str(group["c"].config_get("min-replicas-to-write")["min-replicas-to-write"])) == 0
    group.is_led_by("b", "a", "c")


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_each_permission_of_the_rule_is_needed(group: Group, permission: str) -> None:
    words = [word for word in rule("dictator").split() if word != permission]
    guarded(group, "redis-7.0", " ".join(words))
    refusal = complaint(group)
    assert "no permissions" in refusal.lower()
    if refusal.startswith("503"):
        assert group.replication("a")["role"] == "master", "what is refused must leave the source as it was"
        assert group["a"].set("still", "writable")


def test_the_password_comes_from_a_file_and_is_shown_nowhere(group: Group, tmp_path: Path) -> None:
    guarded(group, "redis-7.0", rule("dictator"))
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    output = []
    good = {"REDIS_USERNAME": "dictator", "REDIS_PASSWORD_FILE": str(secret), "LOG_LEVEL": "DEBUG"}
    with Service(tmp_path / "good.log", **good) as service:
        for query, accept in (("?dry_run=1", "*/*"), ("", "application/json"), ("", "*/*")):
            answer = service.put(document(group, "b", "a", "c"), query, accept)
            assert answer.status in (200, 202)
            output.append(answer.body)
        output += [service.request("GET", "/master").body, service.log]
    wrong = {"REDIS_USERNAME": "dictator", "REDIS_PASSWORD": "wr0ng-one", "LOG_LEVEL": "DEBUG"}
    with Service(tmp_path / "wrong.log", **wrong) as service:
        answer = service.put(document(group, "a", "b", "c"))
        assert answer.status == 503
        assert "invalid username-password pair" in answer.body
        output += [answer.body, service.log]
    for secret_word in (PASSWORD, OPERATOR, "wr0ng-one"):
        assert not [text for text in output if secret_word in text]
    group.is_led_by("b", "a", "c")


def openssl(directory: Path, *argv: str) -> None:
    subprocess.run(["openssl", *argv], cwd=directory, check=True, capture_output=True, timeout=60)


def make_certificates(directory: Path, name: str) -> Path:
    """A CA, and a certificate of it for servers, that names none of their addresses. The CA's file."""
    directory.mkdir()
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl(directory, "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", f"/CN={name}")
    openssl(directory, "req", *new[:-2], "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=redis")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", "server.pem")
    openssl(directory, "x509", "-req", "-in", "server.csr", *signed)
    return directory / "ca.pem"


@pytest.mark.parametrize("flavour", ["redis-7.0", "valkey-8.0"])
def test_switches_over_tls_and_only_with_the_right_ca(group: Group, tmp_path: Path, flavour: str) -> None:
    ca = make_certificates(tmp_path / "ours", "ours")
    other = make_certificates(tmp_path / "others", "others")
    ports = {name: free_port() for name in "abc"}
    files = {"tls-cert-file": "server.pem", "tls-key-file": "server.key", "tls-ca-cert-file": "ca.pem"}
    secure = {option: str(ca.parent / file) for option, file in files.items()}
    for name, port in ports.items():
        # the plain port stays open for this test's own looks
        tls = {"tls-port": str(port), "tls-replication": "yes", "tls-auth-clients": "no"}
        group.add(name, flavour=flavour, config=secure | tls)
    fill(group["a"])
    addresses = [{"address": "127.0.0.1", "port": ports[name]} for name in "bac"]
    body = json.dumps({"master": addresses[0], "slaves": addresses[1:]})
    with Service(tmp_path / "wrong.log", REDIS_TLS=str(other)) as service:
        answer = service.put(body)
        assert answer.status == 503
        assert "certificate verify failed" in answer.body
    with Service(tmp_path / "plain.log", REPLY_TIMEOUT="0.5") as service:
        assert service.put(body).status == 503
    with Service(tmp_path / "right.log", REDIS_TLS=str(ca), SYNC_TIMEOUT="30", FOLLOW_TIMEOUT="30") as service:
        assert service.put(body).status == 200
    assert group.replication("b")["role"] == "master"
    for name in "ac":
        assert group.replication(name)["master_port"] == ports["b"]
        wait_until(partial(linked, group, name), f"{name} is linked", PATIENCE)
        assert group.keys(name) == 100


def linked(group: Group, name: str) -> bool:
    return bool(group.replication(name)["master_link_status"] == "up")
