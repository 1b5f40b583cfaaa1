"""The services' console scripts. Without the packages of its extra, each says which one to install."""

import argparse
import importlib


def dictator() -> int:
    """Starts the dictator."""
    return _run("dictator", "dictator", "applies a topology to redis, without losing an acknowledged write")


def dnsd() -> int:
    """Starts dnsd."""
    return _run("dnsd", "dnsd", "publishes the SRV records of the master and its slaves through etcd")


def observer() -> int:
    """Starts the topology observer."""
    return _run("topology-observer", "topology_observer", "has the defined topology applied whenever a node starts")


def registrar() -> int:
    """Starts the registrar."""
    return _run("registrar", "registrar", "writes the published ports of Docker's containers to etcd, for DNS")


def _run(extra: str, package: str, what: str) -> int:
    parser = argparse.ArgumentParser(description=f"This service {what}. Its environment sets it: docs/settings.md.")
    parser.parse_args()
    try:
        program = importlib.import_module(f"{package}.__main__")
    except ModuleNotFoundError as error:
        parser.exit(2, f"{parser.prog}: {error.name} is missing: pip install 'safe-redis[{extra}]'\n")
    return int(program.main())
