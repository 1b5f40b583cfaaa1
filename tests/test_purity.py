"""Pure modules import no client library, no sockets and no threads."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# the folder to run in, and the module's name there
PURE = {
    "safe_redis/topology.py": (ROOT, "safe_redis.topology"),
    "registrar/records.py": (ROOT, "registrar.records"),
    "dnsd/records.py": (ROOT, "dnsd.records"),
    "dictator/plan.py": (ROOT, "dictator.plan"),
    "dictator/page/view.py": (ROOT, "dictator.page.view"),
    "dictator/replies.py": (ROOT, "dictator.replies"),
    "dictator/resp.py": (ROOT, "dictator.resp"),
    "redis_counter/tally.py": (ROOT, "redis_counter.tally"),
}
IMPURE = ("redis", "docker", "urllib3", "dns", "flask", "gunicorn", "http", "socket", "ssl", "subprocess", "asyncio")


def imported(folder: Path, module: str) -> set[str]:
    """The top-level modules that a new interpreter has loaded after importing one."""
    code = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize("path", PURE)
def test_a_pure_module_imports_no_client_library(path: str) -> None:
    folder, module = PURE[path]
    assert not imported(folder, module) & set(IMPURE)


@pytest.mark.parametrize("path", PURE)
def test_a_pure_module_says_so(path: str) -> None:
    docstring = (ROOT / path).read_text().split('"""')[1]
    assert "Pure: no I/O, no clock" in docstring


def test_the_check_finds_what_is_impure() -> None:
    assert {"urllib3"} <= imported(ROOT, "safe_redis.etcd")
