"""Which records a container gets, by registrator's conventions."""

import json
from typing import Any

import pytest

from registrar.containers import parse
from registrar.records import BadName, Container, Host, Port, records

HOST = Host("core-01", "10.0.0.1", "docker", 30)
REDIS = Port(6379, "tcp", 49153)


def keys(*ports: Port, image: str = "registry:5000/safe-redis/node:0.2.0", **variables: str) -> list[str]:
    container = Container("redis-1-node", image, tuple(variables.items()), ports)
    return [record.key for record in records(container, HOST)]


def test_a_named_port_with_an_id_is_where_the_nodes_are() -> None:
    container = Container("redis-1-node", "node", (("SERVICE_NAME", "redis-1"), ("SERVICE_ID", "core-01")), (REDIS,))
    (record,) = records(container, HOST)
    assert record.key == "/skydns/docker/redis-1/core-01"
    assert json.loads(record.value) == {"host": "10.0.0.1", "port": 49153, "ttl": 30}


@pytest.mark.parametrize(
    ("variables", "key"),
    [
        ({}, "node/core-01:redis-1-node:6379"),
        ({"SERVICE_NAME": "redis-1"}, "redis-1/core-01:redis-1-node:6379"),
        ({"SERVICE_NAME": ""}, "node/core-01:redis-1-node:6379"),
        ({"SERVICE_6379_NAME": "redis-1", "SERVICE_NAME": "other"}, "redis-1/core-01:redis-1-node:6379"),
        ({"SERVICE_6379_ID": "a", "SERVICE_ID": "b"}, "node/a"),
        ({"SERVICE_6380_NAME": "other"}, "node/core-01:redis-1-node:6379"),
        ({"SERVICE_NAME": "Redis-1", "SERVICE_ID": "Core-01"}, "redis-1/core-01"),
    ],
)
def test_the_key_is_made_of_the_name_and_the_id(variables: dict[str, str], key: str) -> None:
    assert keys(REDIS, **variables) == [f"/skydns/docker/{key}"]


def test_several_ports_are_told_apart_by_their_numbers() -> None:
    ports = (REDIS, Port(8080, "tcp", 49154), Port(53, "udp", 49155))
    assert keys(*ports, SERVICE_NAME="a", SERVICE_8080_NAME="web") == [
        "/skydns/docker/a-6379/core-01:redis-1-node:6379",
        "/skydns/docker/web/core-01:redis-1-node:8080",
        "/skydns/docker/a-53/core-01:redis-1-node:53:udp",
    ]


@pytest.mark.parametrize("variable", ["SERVICE_IGNORE", "SERVICE_6379_IGNORE"])
def test_what_is_to_be_ignored_has_no_record(variable: str) -> None:
    assert keys(REDIS, **{variable: "1"}) == []
    assert keys(REDIS, **{variable: ""}) != []


def inspected(**networks: str) -> dict[str, Any]:
    return {
        "Name": "/node",
        "Config": {"Image": "node", "ExposedPorts": {"6379/tcp": {}, "53/udp": {}}},
        "NetworkSettings": {
            "Ports": {"6379/tcp": [{"HostIp": "10.0.0.1", "HostPort": "49153"}]},
            "Networks": {name: {"IPAddress": address} for name, address in networks.items()},
        },
    }


def test_a_container_of_the_network_is_where_its_own_address_is() -> None:
    container = parse(inspected(ours="172.30.97.2", other="172.30.98.2"), "ours")
    assert [(record.key, json.loads(record.value)) for record in records(container, HOST)] == [
        ("/skydns/docker/node-53/core-01:node:53:udp", {"host": "172.30.97.2", "port": 53, "ttl": 30}),
        ("/skydns/docker/node-6379/core-01:node:6379", {"host": "172.30.97.2", "port": 6379, "ttl": 30}),
    ]


@pytest.mark.parametrize("networks", [{}, {"other": "172.30.98.2"}, {"ours": ""}])
def test_a_container_outside_of_the_network_has_no_record(networks: dict[str, str]) -> None:
    assert list(records(parse(inspected(**networks), "ours"), HOST)) == []


def test_a_domain_is_turned_round() -> None:
    container = Container("a", "a", (), (REDIS,))
    (record,) = records(container, Host("core-01", "10.0.0.1", "skydns.local", 30))
    assert record.key == "/skydns/local/skydns/a/core-01:a:6379"


@pytest.mark.parametrize("bad", ["../master", "a/b", "a b", ".."])
@pytest.mark.parametrize("variable", ["SERVICE_NAME", "SERVICE_ID"])
def test_a_name_that_leads_elsewhere_is_refused(variable: str, bad: str) -> None:
    with pytest.raises(BadName, match="can't be a part of a key"):
        keys(REDIS, **{variable: bad})


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("redis", "redis"),
        ("redis:7", "redis"),
        ("localhost:5000/a/redis:7", "redis"),
        ("a/redis@sha256:00ff", "redis"),
    ],
)
def test_a_service_without_a_name_has_its_images(image: str, name: str) -> None:
    assert keys(REDIS, image=image, SERVICE_ID="x") == [f"/skydns/docker/{name}/x"]


def test_a_container_is_read_as_docker_shows_it() -> None:
    shown = {
        "Name": "/redis-1-node",
        "Config": {"Image": "node", "Env": ["SERVICE_NAME=redis-1", "PATH=/bin"], "Labels": {"SERVICE_ID": "core-01"}},
        "NetworkSettings": {
            "Ports": {
                "6379/tcp": [{"HostIp": "10.0.0.1", "HostPort": "49153"}, {"HostIp": "::", "HostPort": "49153"}],
                "8080/tcp": None,
            }
        },
    }
    variables = (("SERVICE_NAME", "redis-1"), ("PATH", "/bin"), ("SERVICE_ID", "core-01"))
    assert parse(shown) == Container("redis-1-node", "node", variables, (REDIS,))
