"""What the benchmarks read out of the services' logs, while these write them."""

from pathlib import Path

from bench import logs

FIRST = b'{"time": "2026-11-24T10:00:00.250000+00:00", "message": "notified dnsd at 127.0.0.1:80: 200 OK (4.5 ms)"}\n'
SECOND = b'{"time": "2026-11-24T10:00:01+00:00", "message": "ended the run"}\n'


def test_a_line_that_is_written_up_to_any_byte_is_left_out_until_it_is_complete(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for written in range(len(SECOND)):
        log.write_bytes(FIRST + SECOND[:written])
        (line,) = logs.lines_after(log, 0)
        assert (line.text, line.ms) == ("notified dnsd at 127.0.0.1:80: 200 OK (4.5 ms)", 4.5)
        assert logs.lines_after(log, len(FIRST)) == ()
    log.write_bytes(FIRST + SECOND)
    assert [line.text for line in logs.lines_after(log, len(FIRST))] == ["ended the run"]
