"""The checker of list histories: it finds every seeded fault, and nothing in what a correct list may show."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_counter.histories import Append, Findings, Read, check

APPENDS = [Append("a", 0, 1), Append("b", 2, 3), Append("c", 4, 5)]
READS = [Read("r", ("a",), 1.5, 1.7), Read("r", ("a", "b"), 3.5, 3.7), Read("r", ("a", "b", "c"), 6, 7)]
FINAL = ["a", "b", "c"]
NOTHING = Findings((), (), (), (), (), (), ())


def kinds(findings: Findings) -> set[str]:
    return {name for name in Findings.__dataclass_fields__ if getattr(findings, name)}


def test_a_correct_history_has_no_findings() -> None:
    assert check(APPENDS, READS, FINAL) == NOTHING
    assert NOTHING.writes_are_sound
    assert NOTHING.reads_are_sound


def test_finds_a_lost_write() -> None:
    findings = check(APPENDS, READS[:2], ["a", "b"])
    assert kinds(findings) == {"lost"}
    assert findings.lost == ("c was acknowledged and is gone",)
    assert not findings.writes_are_sound


def test_finds_a_lost_write_that_somebody_has_read() -> None:
    assert kinds(check(APPENDS, READS, ["a", "b"])) == {"lost", "diverged"}


def test_finds_a_refused_write_that_took_effect_even_if_only_a_reader_saw_it() -> None:
    refused = [*APPENDS[:2], replace(APPENDS[2], outcome="refused")]
    assert kinds(check(refused, READS, FINAL)) == {"aborted"}
    assert "aborted" in kinds(check(refused, READS, ["a", "b"]))


def test_finds_a_doubled_write() -> None:
    assert "doubled" in kinds(check(APPENDS, READS, ["a", "b", "c", "b"]))


def test_finds_a_reordering() -> None:
    findings = check(APPENDS, [], ["b", "a", "c"])
    assert findings.reordered == ("b stands before a, which was acknowledged before it was sent",)
    assert kinds(findings) == {"reordered"}


def test_finds_a_reader_of_another_order() -> None:
    assert kinds(check(APPENDS, [Read("r", ("b", "a", "c"), 6, 7)], FINAL)) == {"diverged"}


def test_finds_a_stale_read() -> None:
    findings = check(APPENDS, [Read("r", ("a",), 3.5, 3.7)], FINAL)
    assert kinds(findings) == {"stale"}
    assert not findings.reads_are_sound


def test_finds_a_client_that_goes_back_in_time() -> None:
    assert kinds(check(APPENDS, [Read("r", ("a", "b"), 2.2, 2.3), Read("r", ("a",), 2.4, 2.5)], FINAL)) == {"backwards"}
    two = [Read("r", ("a", "b"), 2.2, 2.3), Read("s", ("a",), 2.4, 2.5)]
    assert kinds(check(APPENDS, two, FINAL)) == set()


@pytest.mark.parametrize("present", [True, False])
def test_an_unknown_write_may_be_there_or_not(*, present: bool) -> None:
    unknown = [*APPENDS[:2], replace(APPENDS[2], outcome="unknown")]
    final = FINAL if present else FINAL[:2]
    assert check(unknown, READS if present else READS[:2], final) == NOTHING


def test_writes_that_overlap_may_stand_in_either_order() -> None:
    overlapping = [Append("a", 0, 3), Append("b", 1, 2)]
    assert check(overlapping, [], ["a", "b"]) == NOTHING
    assert check(overlapping, [], ["b", "a"]) == NOTHING


@given(st.data())
def test_any_linearizable_history_is_sound_and_without_its_newest_value_it_is_not(data: st.DataObject) -> None:
    """Effects happen at whole seconds, inside of operations that begin before and end after them."""
    spans = st.floats(0.1, 3)
    kinds_of_effect = data.draw(st.lists(st.sampled_from("ar"), min_size=1, max_size=20))
    appends: list[Append] = []
    reads: list[Read] = []
    for second, kind in enumerate(kinds_of_effect):
        start, end = second - data.draw(spans), second + data.draw(spans)
        if kind == "a":
            appends.append(Append(str(second), start, end))
        else:
            reads.append(Read(str(second), tuple(append.value for append in appends), start, end))
    final = [append.value for append in appends]
    assert check(appends, reads, final) == NOTHING
    if final:
        assert check(appends, reads, final[:-1]).lost == (f"{final[-1]} was acknowledged and is gone",)
