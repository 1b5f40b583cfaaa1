"""What bench.clients makes of an application's report."""

from bench.applications import Report


def test_a_pause_is_the_longest_of_any_thread_that_touches_the_span() -> None:
    first = [(0.99, 1.0, "a"), (1.0, 1.001, "b"), (1.001, 1.05, "c")]
    report = Report(acks=[first, [(1.0, 1.04, "d"), (1.04, 9.0, "e")]])
    assert round(report.pause(1.0, 1.03)) == 49
    assert round(report.pause(1.06, 2.0)) == 7960
    assert report.pause(10.0, 11.0) == 0.0


def test_a_doubled_value_is_found_and_a_lost_one_is_missing() -> None:
    report = Report(acks=[[(0.9, 1.0, "a"), (1.0, 1.1, "b")]], unknown=["c"])
    judged = report.judge(["a", "a", "c"])
    assert (judged.missing, judged.duplicates, judged.unknown_present) == (("b",), ("a",), 1)
