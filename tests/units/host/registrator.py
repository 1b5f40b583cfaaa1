"""A stand-in for registrator: keeps a record in etcd for each port that a container publishes.

Does what `registrator -ip=ADDRESS -ttl=30 -ttl-refresh=15 skydns2://127.0.0.1:4001/docker` does, with docker's own
client and the standard library only. The real one reacts to docker's events; this one looks once a second.
"""

import http.client
import json
import logging
import subprocess
import sys
import time
import urllib.parse
from typing import Any

TTL = 30
REFRESH = 15
ROUND = 1.0
log = logging.getLogger("registrator")

Records = dict[str, str]


def records(container: dict[str, Any], address: str, host: str) -> Records:
    """The keys and values of one container, as `docker inspect` shows it."""
    environ = dict(line.partition("=")[::2] for line in container["Config"]["Env"] or ())
    name = container["Name"].lstrip("/")
    published = {
        int(inside.partition("/")[0]): int(bindings[0]["HostPort"])
        for inside, bindings in container["NetworkSettings"]["Ports"].items()
        if bindings
    }
    registered = {}
    for inside, outside in published.items():
        service = environ.get("SERVICE_NAME") or container["Config"]["Image"].partition(":")[0].rpartition("/")[2]
        if len(published) > 1:
            service = f"{service}-{inside}"
        identity = environ.get("SERVICE_ID") or f"{host}:{name}:{inside}"
        registered[f"/skydns/docker/{service}/{identity}"] = json.dumps({"host": address, "port": outside})
    return registered


def running(address: str, host: str) -> Records:
    """The records of all containers that run now."""
    ids = _docker("ps", "--quiet", "--no-trunc").split()
    registered: Records = {}
    for container in json.loads(_docker("inspect", *ids)) if ids else ():
        registered |= records(container, address, host)
    return registered


def _docker(*arguments: str) -> str:
    return subprocess.run(["/usr/bin/docker", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def _etcd(method: str, key: str, **form: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", 4001, timeout=10)
    try:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request(method, "/v2/keys" + urllib.parse.quote(key), urllib.parse.urlencode(form), headers)
        status = connection.getresponse().status
    finally:
        connection.close()
    # deleting what has expired already is no error
    if status >= 300 and (method, status) != ("DELETE", 404):
        raise OSError(f"etcd answered {status} to {method} {key}")


def synchronise(known: Records, wanted: Records, *, refresh: bool) -> None:
    """Bring etcd from `known` to `wanted`; `known` says at any time what has been written."""
    for key in known.keys() - wanted.keys():
        log.info("removing %s", key)
        _etcd("DELETE", key)
        del known[key]
    for key, value in wanted.items():
        if refresh or known.get(key) != value:
            if known.get(key) != value:
                log.info("adding %s %s", key, value)
            _etcd("PUT", key, value=value, ttl=str(TTL))
            known[key] = value


def main(address: str) -> None:
    """Look and write, for ever."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    host = _host()
    known: Records = {}
    refreshed = time.monotonic()
    while True:
        due = time.monotonic() - refreshed >= REFRESH
        try:
            synchronise(known, running(address, host), refresh=due)
            if due:
                refreshed = time.monotonic()
        except (OSError, http.client.HTTPException, subprocess.CalledProcessError) as error:
            # docker or etcd is away, or a container has gone between "ps" and "inspect": the next round sees
            log.warning("trying again: %s", error)
        time.sleep(ROUND)


def _host() -> str:
    with open("/etc/hostname", encoding="utf-8") as file:  # noqa: PTH123 - as short as it gets
        return file.read().strip()


if __name__ == "__main__":
    main(sys.argv[1])
