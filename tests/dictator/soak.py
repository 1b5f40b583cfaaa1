"""A soak: eight writers, and a master that moves while instances, links and dictators fail at random.

    python -m tests.dictator.soak --seconds 600 --seed 7

Redis runs with `appendfsync always`, so that a kill costs nothing that was acknowledged, and all flavours take turns.
The seed, printed at the start, decides what happens; when exactly, the machine decides. The exit status is 0 if no
acknowledged write is missing, no refused one is there, and the last topology was always reached without force.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom

from tests.dictator.harness import DURABLE, NAMES, Harness, Outcome
from tests.dictator.sweep import FLAVOURS, Figures
from tests.dictator.zygote import Job, Killed

WRITERS = 8
EPISODES = 6
DEADLINES = {
    "connect_timeout": 0.4,
    "reply_timeout": 0.4,
    "sync_timeout": 3.0,
    "pause_timeout": 0.6,
    "follow_timeout": 0.5,
}


@dataclass
class Episode:
    """One switch and what disturbs it. Every accident lasts for a time, and has then been made up for."""

    harness: Harness
    document: str
    rival: str
    dictator: Job
    happened: list[str] = field(default_factory=list)

    def kill(self, name: str, seconds: float) -> None:
        """An instance gets SIGKILL, and is started again later."""
        self.harness.servers[name].kill()
        time.sleep(seconds)
        self.harness.servers[name].start()

    def kill_all(self, _: str, seconds: float) -> None:
        """All instances get SIGKILL at once."""
        servers = self.harness.servers.values()
        for server in servers:
            server.kill()
        time.sleep(seconds)
        for server in servers:
            server.start(wait=False)
        for server in servers:
            server.wait_ready()

    def stop(self, name: str, seconds: float) -> None:
        """An instance stands still."""
        self.harness.servers[name].pause()
        time.sleep(seconds)
        self.harness.servers[name].resume()

    def cut(self, name: str, seconds: float) -> None:
        """Nobody but the writers reaches an instance: its connections are reset, new ones refused."""
        self.harness.proxies[name].cut()
        time.sleep(seconds)
        self.harness.proxies[name].heal()

    def cut_links(self, name: str, seconds: float) -> None:
        """Its slaves lose an instance."""
        self.harness.proxies[name].cut_links()
        time.sleep(seconds)
        self.harness.proxies[name].mend()

    def hush(self, name: str, seconds: float) -> None:
        """Its slaves keep their links to an instance, but nothing comes through."""
        self.harness.proxies[name].hush()
        time.sleep(seconds)
        self.harness.proxies[name].mend()

    def kill_dictator(self, _: str, seconds: float) -> None:
        """The dictator gets SIGKILL."""
        time.sleep(seconds / 4)
        with suppress(ProcessLookupError):
            self.dictator.signal(signal.SIGKILL)

    def stop_dictator(self, _: str, seconds: float) -> None:
        """The dictator stands still for longer than its pause lasts."""
        with suppress(ProcessLookupError):
            self.dictator.signal(signal.SIGSTOP)
            time.sleep(seconds)
            self.dictator.signal(signal.SIGCONT)

    def second_dictator(self, _: str, seconds: float) -> None:
        """A second dictator applies another topology."""
        time.sleep(seconds / 10)
        self._finish(self.harness.apply(self.rival))

    def dying_second_dictator(self, _: str, seconds: float) -> None:
        """The same, and it gets SIGKILL in the middle."""
        job = self.harness.apply(self.rival)
        time.sleep(seconds / 10)
        with suppress(ProcessLookupError):
            job.signal(signal.SIGKILL)
        self._finish(job)

    def _finish(self, job: Job) -> None:
        try:
            result = job.result()
        except Killed:
            self.happened.append("a dictator was killed")
        else:
            self.happened.append(f"{result['status']} {result['line']}")

    def finish(self) -> None:
        """Waits for the first dictator."""
        self._finish(self.dictator)


Accident = Callable[[Episode, str, float], None]
ACCIDENTS: tuple[Accident, ...] = (
    Episode.kill,
    Episode.kill_all,
    Episode.stop,
    Episode.cut,
    Episode.cut_links,
    Episode.hush,
    Episode.kill_dictator,
    Episode.stop_dictator,
    Episode.second_dictator,
    Episode.dying_second_dictator,
)


def episode(harness: Harness, random: Random, pool: ThreadPoolExecutor, answers: list[str]) -> tuple[str, bool]:
    """A switch with up to three accidents; the name of the master that was reached, and whether by force."""
    wanted, other = random.choice(NAMES), random.choice(NAMES)
    chosen = random.sample(ACCIDENTS, k=random.choice((0, 1, 1, 2, 3)))
    # one accident an instance: what is killed can't be stopped as well
    victims = random.sample(NAMES, k=len(NAMES))
    if Episode.kill_all in chosen:
        chosen = [accident for accident in chosen if accident not in (Episode.kill, Episode.stop)]
    delays = [random.uniform(0, 0.1) for _ in chosen]
    times = [random.uniform(0.05, 1.2) for _ in chosen]
    document = harness.document(wanted)
    under_way = Episode(harness, document, harness.document(other), harness.apply(document))

    def happen(accident: Accident, victim: str, delay: float, seconds: float) -> None:
        time.sleep(delay)
        accident(under_way, victim, seconds)

    jobs = [pool.submit(happen, *all_of_it) for all_of_it in zip(chosen, victims, delays, times, strict=False)]
    for job in jobs:
        job.result(60)
    under_way.finish()
    names = [f"{accident.__name__} {victim}" for accident, victim in zip(chosen, victims, strict=False)]
    answers.append(f"to {wanted}, then {other}: {', '.join(names) or 'undisturbed'}: {under_way.happened}")
    harness.converge(document, answers)
    if answers[-1].startswith("200"):
        return wanted, False
    answers.append(f"forced: {harness.apply(document, force=True).result()}")
    harness.converge(document, answers)
    return wanted, True


def round_of(harness: Harness, random: Random, pool: ThreadPoolExecutor, until: float) -> Outcome:
    """Some episodes under the same writers, and what became of their writes."""
    harness.runs += 1
    writers = harness.write(f"run:{harness.runs}", writers=WRITERS, interval=0.001)
    answers: list[str] = []
    master, forced = NAMES[0], False
    for _ in range(EPISODES):
        master, by_force = episode(harness, random, pool, answers)
        forced = forced or by_force
        if time.monotonic() > until:
            break
    outcome = harness.judge(f"{harness.flavour} round {harness.runs}", master, writers, answers, decided=forced)
    return outcome.but("settled by force") if forced else outcome


def soak(seconds: float, seed: int, flavours: Sequence[str], *, verbose: bool = False) -> bool:
    """Whether nothing was lost in so many seconds, which the flavours share."""
    print(f"soak: seed {seed}, {seconds:g} s, {', '.join(flavours)}", flush=True)
    random, totals = Random(seed), Figures()
    for flavour in flavours:
        until = time.monotonic() + seconds / len(flavours)
        figures = Figures()
        with (
            tempfile.TemporaryDirectory(prefix="safe-redis-soak-") as directory,
            Harness(Path(directory), flavour, config=DURABLE, settings=DEADLINES) as harness,
            ThreadPoolExecutor(8) as pool,
        ):
            harness.arrange({"a": None, "b": "a", "c": "a"})
            started = time.monotonic()
            while time.monotonic() < until:
                outcome = round_of(harness, random, pool, until)
                if verbose:
                    print("\n".join(outcome.answers), flush=True)
                for counts in (figures, totals):
                    counts.add(outcome)
                for problem in outcome.problems:
                    print(f"PROBLEM {problem}", flush=True)
            figures.seconds = time.monotonic() - started
            totals.seconds += figures.seconds
        print(f"{flavour}: {figures}", flush=True)
    print(f"soak: seed {seed}: {totals}", flush=True)
    return not totals.problems


def main(argv: Sequence[str]) -> int:
    """0 if nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.dictator.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1 << 32), help="(another one each time)")
    parser.add_argument("--flavour", choices=FLAVOURS, action="append", help="(all of them, one after the other)")
    parser.add_argument("--verbose", action="store_true", help="print each episode")
    given = parser.parse_args(argv)
    return 0 if soak(given.seconds, given.seed, given.flavour or FLAVOURS, verbose=given.verbose) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
