"""The comparison, by examples and against every history that hypothesis can think of."""

import subprocess
import sys
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from redis_counter.tally import Outcomes, join, tally
from sandbox.process import ROOT


def test_counts_nothing_wrong_when_the_list_holds_just_the_acknowledged() -> None:
    result = tally(Outcomes(acked=("a", "b"), refused=("c",)), ["a", "b"])
    assert result.lossless
    assert result.line == "ack'd: 2 (0 missing) err'd: 1 (0 phantom)"


def test_an_acknowledged_write_that_is_gone_is_missing() -> None:
    result = tally(Outcomes(acked=("a", "b")), ["b"])
    assert result.missing == ("a",)
    assert not result.lossless
    assert result.line == "ack'd: 2 (1 missing) err'd: 0 (0 phantom)"


def test_a_refused_write_that_is_there_is_a_phantom() -> None:
    result = tally(Outcomes(acked=("a",), refused=("b", "c")), ["a", "c"])
    assert result.phantom == ("c",)
    assert not result.lossless
    assert result.line == "ack'd: 1 (0 missing) err'd: 2 (1 phantom)"


def test_an_unknown_write_is_neither_missing_nor_a_phantom() -> None:
    result = tally(Outcomes(unknown=("a", "b")), ["b"])
    assert result.lossless
    assert (result.unknown, result.unknown_present) == (2, 1)
    assert result.line == "ack'd: 0 (0 missing) err'd: 0 (0 phantom)"


def test_a_value_stored_twice_is_a_duplicate_whatever_its_writer_was_told() -> None:
    result = tally(Outcomes(acked=("a", "b"), unknown=("c",)), ["a", "a", "b", "c", "c", "c"])
    assert result.duplicates == ("a", "c")


def test_what_somebody_else_left_in_the_list_does_not_count() -> None:
    result = tally(Outcomes(acked=("a",)), ["from an earlier run", "from an earlier run", "a"])
    assert result.lossless
    assert result.duplicates == ()


def test_several_writers_are_tallied_as_one() -> None:
    joined = join([Outcomes(("a",), ("b",), ()), Outcomes(("c",), (), ("d",))])
    assert joined == Outcomes(("a", "c"), ("b",), ("d",))
    assert joined.attempts == 4


FATES = st.tuples(st.sampled_from(["acked", "refused", "unknown"]), st.integers(min_value=0, max_value=3))


@given(fates=st.lists(FATES, max_size=30), foreign=st.integers(min_value=0, max_value=3), shuffle=st.randoms())
def test_every_history_is_told_as_it_was(fates: list[tuple[str, int]], foreign: int, shuffle: Random) -> None:
    """Each write has a fate and a number of times that it got into the list: that is what the tally must find."""
    outcomes: dict[str, list[str]] = {"acked": [], "refused": [], "unknown": []}
    stored = [f"foreign {n}" for n in range(foreign)]
    for number, (fate, times) in enumerate(fates):
        outcomes[fate].append(str(number))
        stored += [str(number)] * times
    shuffle.shuffle(stored)
    result = tally(Outcomes(*(tuple(outcomes[fate]) for fate in ("acked", "refused", "unknown"))), stored)

    assert result.acked == sum(fate == "acked" for fate, _ in fates)
    assert len(result.missing) == fates.count(("acked", 0))
    assert result.refused == sum(fate == "refused" for fate, _ in fates)
    assert len(result.phantom) == sum(fate == "refused" and times > 0 for fate, times in fates)
    assert result.unknown == sum(fate == "unknown" for fate, _ in fates)
    assert result.unknown_present == sum(fate == "unknown" and times > 0 for fate, times in fates)
    assert len(result.duplicates) == sum(times > 1 for _, times in fates)
    assert result.lossless == (not result.missing and not result.phantom)


def test_the_tally_is_pure() -> None:
    """It imports neither a client library nor anything that could reach one."""
    loaded = "import sys, redis_counter.tally; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-c", loaded]
    modules = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"redis", "dns", "socket", "safe_redis"} & set(modules.stdout.split())
