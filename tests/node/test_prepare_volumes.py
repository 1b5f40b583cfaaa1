"""prepare-volumes: every option and every error, in the shells that images have, on real mount points."""

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sandbox.process import ROOT, wait_until

SCRIPT = ROOT / "node" / "prepare-volumes"
# The mounts are made in a mount namespace of the test, and end with it.
IN_NAMESPACE = 'while [ "$1" != -- ]; do mount --bind "$1" "$1"; shift; done; shift; exec "$@"'

Shell = Sequence[str]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting and giving directories away needs root")


@pytest.fixture(params=[["dash"], ["busybox", "sh"]], ids=["dash", "busybox"])
def shell(request: pytest.FixtureRequest) -> Shell:
    words: Shell = request.param
    return words


def command(shell: Shell, arguments: Sequence[str], mounted: Sequence[Path]) -> list[str]:
    inside = [*map(str, mounted), "--", *shell, str(SCRIPT), *arguments]
    return ["unshare", "--mount", "--", "sh", "-euc", IN_NAMESPACE, "sh", *inside]


@pytest.fixture
def run(shell: Shell, tmp_path: Path) -> Run:
    """Runs prepare-volumes in tmp_path, with each of `mounted` a mount point."""

    def run(*arguments: str, mounted: Sequence[Path] = ()) -> "subprocess.CompletedProcess[str]":
        argv = command(shell, arguments, mounted)
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30)

    return run


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    directory = tmp_path / "volume"
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    return directory


def owned(directory: Path) -> tuple[str, int, int]:
    status = directory.stat()
    return f"{stat.S_IMODE(status.st_mode):o}", status.st_uid, status.st_gid


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("", ("755", 0, 0)),
        (":", ("755", 0, 0)),
        (":700", ("700", 0, 0)),
        (":2770", ("2770", 0, 0)),
        (":700:999", ("700", 999, 0)),
        (":700:999:998", ("700", 999, 998)),
        (":4750:999:998", ("4750", 999, 998)),
        ("::999", ("755", 999, 0)),
        (":::998", ("755", 0, 998)),
        ("::999:998", ("755", 999, 998)),
        (":700::998", ("700", 0, 998)),
    ],
)
def test_sets_the_given_fields_and_leaves_the_others(
    run: Run, volume: Path, fields: str, expected: tuple[str, int, int]
) -> None:
    done = run(f"{volume}{fields}", mounted=[volume])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert owned(volume) == expected


def test_prepares_several_directories(run: Run, tmp_path: Path, volume: Path) -> None:
    other = tmp_path / "with a space"
    other.mkdir()
    done = run(f"{volume}:711", f"{other}:700:999:999", mounted=[volume, other])
    assert done.returncode == 0, done.stderr
    assert (owned(volume), owned(other)) == (("711", 0, 0), ("700", 999, 999))


def test_accepts_a_relative_directory_and_one_with_pattern_characters(run: Run, tmp_path: Path) -> None:
    (tmp_path / "star").mkdir()
    done = run("-f", "st*:700")
    assert done.returncode == 0, done.stderr
    assert owned(tmp_path / "st*")[0] == "700"
    assert owned(tmp_path / "star")[0] == "755"


def test_leaves_the_contents_of_the_directory_alone(run: Run, volume: Path) -> None:
    content = volume / "redis.conf"
    content.write_text("appendonly yes\n")
    content.chmod(0o644)
    assert run(f"{volume}:700:999:999", mounted=[volume]).returncode == 0
    assert owned(content) == ("644", 0, 0)
    assert content.read_text() == "appendonly yes\n"


def test_running_it_again_changes_nothing(run: Run, volume: Path) -> None:
    for _ in range(2):
        assert run(f"{volume}:700:999:999", mounted=[volume]).returncode == 0
        assert owned(volume) == ("700", 999, 999)


def test_refuses_a_directory_that_is_not_a_mount_point(run: Run, volume: Path) -> None:
    done = run(f"{volume}:700")
    assert done.returncode == 1
    assert f"'{volume}' is not a mount point" in done.stderr
    assert owned(volume) == ("755", 0, 0)


def test_refuses_a_directory_that_does_not_exist(run: Run, tmp_path: Path) -> None:
    done = run(f"{tmp_path}/missing")
    assert done.returncode == 1
    assert "is not a mount point" in done.stderr
    assert not (tmp_path / "missing").exists()


def test_f_accepts_a_directory_that_is_not_a_mount_point(run: Run, volume: Path) -> None:
    assert run("-f", f"{volume}:700").returncode == 0
    assert owned(volume)[0] == "700"


def test_f_creates_a_missing_directory_with_its_parents(run: Run, tmp_path: Path) -> None:
    assert run("-f", f"{tmp_path}/a/b:700:999:998").returncode == 0
    assert owned(tmp_path / "a" / "b") == ("700", 999, 998)


@pytest.mark.parametrize("options", [["-r"], ["-fr"], ["-rf"], ["-f", "-r"]])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_r_keeps_running_until_a_signal_ends_it(
    shell: Shell, volume: Path, options: list[str], number: signal.Signals
) -> None:
    argv = command(shell, [*options, f"{volume}:700"], [volume])
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            wait_until(lambda: sleeping_child(process.pid), "prepared, and waiting")
            assert owned(volume)[0] == "700"
            process.send_signal(number)
            assert process.wait(10) == 0
            assert no_group(process.pid), "its sleep goes on"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def sleeping_child(pid: int) -> bool:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return any(b"sleep" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children)
    except OSError:  # a child has just ended
        return False


def no_group(pgid: int) -> bool:
    def gone() -> bool:
        try:
            os.killpg(pgid, 0)
        except ProcessLookupError:
            return True
        return False

    wait_until(gone, "all of its processes have ended")
    return True


def test_two_dashes_end_the_options(run: Run, volume: Path) -> None:
    assert run("--", f"{volume}:700", mounted=[volume]).returncode == 0
    assert owned(volume)[0] == "700"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no directory given"),
        (["-f"], "no directory given"),
        (["-x", "VOLUME"], "there is no option -x"),
        ([""], "'' names no directory"),
        ([":700"], "':700' names no directory"),
        (["VOLUME:rwx"], "the mode 'rwx' is not an octal one"),
        (["VOLUME:8"], "the mode '8' is not an octal one"),
        (["VOLUME:78"], "the mode '78' is not an octal one"),
        (["VOLUME:789"], "the mode '789' is not an octal one"),
        (["VOLUME:77777"], "the mode '77777' is not an octal one"),
        (["VOLUME:700:redis"], "the uid 'redis' is not a number"),
        (["VOLUME:700:-1"], "the uid '-1' is not a number"),
        (["VOLUME:700:999:redis"], "the gid 'redis' is not a number"),
        (["VOLUME:700:999:999:1"], "more than four fields"),
        (["VOLUME\nx:700"], "has a line break"),
        (["--", "-dir"], "starts with a dash"),
    ],
)
def test_wrong_usage_is_reported_and_changes_nothing(
    run: Run, volume: Path, arguments: list[str], message: str
) -> None:
    done = run(*(argument.replace("VOLUME", str(volume)) for argument in arguments), mounted=[volume])
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert owned(volume) == ("755", 0, 0)


def test_refuses_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("-f", f"{tmp_path}/file:700")
    assert done.returncode == 1
    assert "is not a directory" in done.stderr


@pytest.mark.parametrize("bad", ["missing", "volume:1:1:1:1"])
def test_changes_nothing_when_a_later_argument_is_wrong(run: Run, tmp_path: Path, volume: Path, bad: str) -> None:
    assert run(f"{volume}:700", f"{tmp_path}/{bad}", mounted=[volume]).returncode != 0
    assert owned(volume) == ("755", 0, 0)


def test_reports_a_directory_that_can_not_be_created(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("-f", f"{tmp_path}/file/below")
    assert done.returncode == 1
    assert "can't be created" in done.stderr


@pytest.mark.parametrize(
    ("fields", "message"),
    [(":700:0", "can't be given to 0 by uid 999"), (":700", "can't be given mode 700 by uid 999")],
)
def test_reports_a_change_that_is_not_permitted(
    shell: Shell, fields: str, message: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = Path("/tmp") / tmp_path_factory.getbasetemp().name  # noqa: S108 - pytest's own is closed to others
    place.mkdir(mode=0o755, exist_ok=True)
    script = place / "prepare-volumes"
    try:
        script.write_bytes(SCRIPT.read_bytes())
        user = ["setpriv", "--reuid=999", "--regid=999", "--clear-groups"]
        argv = [*user, *shell, str(script), "-f", f"{place}{fields}"]
        done = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 1
        assert message in done.stderr
    finally:
        shutil.rmtree(place)
