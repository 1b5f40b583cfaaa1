"""The docker command, as the tests of the containers use it: text in, text out, and always a deadline."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.process import MARK, ROOT

BASES = {
    "PYTHON_BASE": "safe-redis/python-base:bookworm",
    "REDIS_BASE": "safe-redis/redis-base:bookworm",
}
"""What scripts/base-images.sh makes; the environment's own come first."""


class DockerError(Exception):
    """A command failed; the message has what it said."""


def environment(**more: str) -> dict[str, str]:
    """For docker and the scripts around it: ours without the mark of a test's own processes, which these are not."""
    kept = {name: value for name, value in os.environ.items() if name != MARK}
    return {**BASES, **kept, **more}


def command(argv: Sequence[str], *, timeout: float = 60, env: Mapping[str, str] | None = None, text: str = "") -> str:
    """What `argv` prints on stdout; DockerError where it fails. `text` goes to its stdin."""
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env=env or environment(),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    if done.returncode:
        raise DockerError(
            f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    return done.stdout.strip()


def docker(*arguments: str, timeout: float = 60, text: str = "") -> str:
    """What a docker command prints."""
    return command(["docker", *arguments], timeout=timeout, text=text)


def inspect(thing: str) -> dict[str, Any]:
    """What the engine knows of a container or an image."""
    described: list[dict[str, Any]] = json.loads(docker("inspect", thing))
    return described[0]


def answers() -> bool:
    """Whether there is an engine."""
    try:
        docker("version", "--format", "{{.Server.Version}}")
    except (DockerError, FileNotFoundError):
        return False
    return True
