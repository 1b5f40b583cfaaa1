"""Runs the whole cluster on this machine (`up`), and sends commands to a cluster that is up."""

import argparse
import logging
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from sandbox.binaries import FLAVOURS, MissingBinaryError
from sandbox.cluster import Cluster
from sandbox.control import SOCKET, VERBS, ControlError, listening, send
from sandbox.keys import KeysError
from sandbox.process import ROOT, ProcessError

DEFAULT = ROOT / ".sandbox"
# which name server reads the records through which API
DNS = {"v2": "skydns", "v3": "coredns"}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: Sequence[str]) -> int:
    """Run a command. Exit status 0, or 1 with the reason on stderr."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command == "up" and args.dns not in (None, DNS[args.etcd]):
        parser.error(f"--etcd {args.etcd} goes with --dns {DNS[args.etcd]}")
    try:
        if args.command == "up":
            return up(args.directory.resolve(), args.nodes, args.flavour, args.etcd)
        print(send(args.directory.resolve(), args.command, _target(args)), end="")
    except (
        ControlError,
        KeysError,
        MissingBinaryError,
        OSError,  # a deadline's TimeoutError among them
        ProcessError,
    ) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    return 0


def up(directory: Path, nodes: int, flavour: str, api: str) -> int:
    """Run a sandbox until a signal ends it."""
    try:
        with _interruptible(), _own(directory):
            logging.basicConfig(filename=directory / "log", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
            with Cluster(directory, nodes, flavour, api=api) as cluster, listening(cluster):
                print(_describe(cluster), flush=True)
                threading.Event().wait()
    except KeyboardInterrupt:
        print("sandbox: stopped", flush=True)
    return 0


def _describe(cluster: Cluster) -> str:
    """How to use the sandbox. Its environment is also written to a file, which appears when all is ready."""
    exports = [f"export {k}={shlex.quote(v)}" for k, v in cluster.environment().items()]
    env = cluster.directory / "env"
    unfinished = env.with_suffix(".new")
    unfinished.write_text("\n".join((*exports, "")))
    unfinished.rename(env)
    return "\n".join(
        (
            f"The sandbox is up, in {cluster.directory}: etcd, {cluster.nameserver.name}, {len(cluster.nodes)} nodes,",
            "dictator, dnsd and observer. Point the scripts at it, in another terminal, by",
            "",
            f"  . {shlex.quote(str(env))}",
            "",
            "which is",
            "",
            *(f"  {line}" for line in exports),
            "",
            f"`python -m sandbox {'|'.join(VERBS)} [PART]` acts on {', '.join(cluster.parts)}.",
            "Ctrl-C stops everything.",
        )
    )


@contextmanager
def _own(directory: Path) -> Iterator[None]:
    """Refuse a directory that a running sandbox uses. The default directory is deleted at the end."""
    try:
        send(directory, "status")
    except ControlError:
        _clear(directory)  # what a killed sandbox has left there
    else:
        raise ControlError(f"a sandbox runs in {directory} already")
    directory.mkdir(parents=True, exist_ok=True)
    if directory == DEFAULT:
        (directory / ".gitignore").write_text("*\n")
    try:
        yield
    finally:
        _clear(directory)


def _clear(directory: Path) -> None:
    """Delete what leads to a sandbox. Data and logs are kept, unless the directory is the default one."""
    if directory == DEFAULT:
        shutil.rmtree(directory, ignore_errors=True)
    for name in ("env", SOCKET):
        (directory / name).unlink(missing_ok=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn the first signal into KeyboardInterrupt, and ignore further ones during the clean-up."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        # A signal that was ignored at the start, as in a shell's background job, stays ignored.
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="run the cluster until Ctrl-C")
    start.add_argument("--nodes", type=_count, default=3, metavar="N", help="1 to 99 (3)")
    start.add_argument("--flavour", default="redis-7.0", choices=FLAVOURS, help="(redis-7.0)")
    start.add_argument("--etcd", default="v2", choices=("v2", "v3"), help="the API of etcd (v2)")
    start.add_argument("--dns", choices=DNS.values(), help="skydns with v2, coredns with v3")
    _directory(start, "for data and logs; deleted at the end only if it is the default")
    for verb in VERBS:
        command = commands.add_parser(verb, help=f"{verb} a part of the running sandbox")
        if verb != "status":
            command.add_argument("part", help="core-02, dictator, dnsd, observer, etcd, skydns or coredns")
        if verb == "restart":
            command.add_argument(
                "flavour", nargs="?", default="", choices=("", *FLAVOURS), help="upgrades a node to it"
            )
        _directory(command, "of the running sandbox")
    return parser


def _target(args: argparse.Namespace) -> str:
    """What a command is about: a part, and for a restart maybe the flavour to restart it with."""
    return f"{getattr(args, 'part', '')} {getattr(args, 'flavour', '')}".strip()


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= 99:
        raise ValueError(f"{count} nodes")
    return count


def _directory(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--directory", type=Path, default=DEFAULT, metavar="D", help=text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
