"""The history checker on histories written by hand: a good one, and one for each way in which a promise is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from chaos.checker import check
from chaos.history import Call, Fault, History, Move, Row, Sample, Seen, Trace, read_traces

W = "wl_1"


def move(event_id: int, event: str, at: float, source: str | None, target: str, attempt: int, version: int) -> Move:
    worker = "w0" if attempt and event != "resumed" else None
    return Move("cust_a", W, event_id, event, at, source, target, attempt, version, worker)


def line(what: str, at: float, step: int, *, attempt: int = 1, sequence: int = 0, worker: str = "w0") -> Trace:
    return Trace(W, attempt, at, what, worker, 100 + attempt, step, sequence)


def call(operation: str, at: float, **more: object) -> Call:
    given: dict[str, object] = {"http_status": 200, "workload_id": W, **more}
    return Call("cust_a", operation, 0, at, at + 0.1, str(given.pop("outcome", "ok")), **given)  # type: ignore[arg-type]


def good() -> History:
    """One workload: it loses its worker, which was killed, goes on from its checkpoint, and completes."""
    history = History()
    history.moves = [
        move(1, "created", 1.0, None, "PENDING", 0, 1),
        move(2, "scheduled", 1.1, "PENDING", "SCHEDULED", 1, 2),
        move(3, "started", 1.2, "SCHEDULED", "RUNNING", 1, 3),
        replace(move(4, "checkpoint_created", 2.0, "RUNNING", "RUNNING", 1, 5), sequence=1),
        replace(move(5, "redistributed", 13, "RUNNING", "REDISTRIBUTING", 1, 7), reason="worker_died", sequence=1),
        replace(move(6, "scheduled", 13.1, "REDISTRIBUTING", "SCHEDULED", 2, 8), sequence=1, worker_id="w1"),
        replace(move(7, "started", 13.2, "SCHEDULED", "RUNNING", 2, 9), sequence=1, worker_id="w1"),
        replace(move(8, "completed", 14.0, "RUNNING", "COMPLETED", 2, 11), sequence=1, worker_id="w1"),
    ]
    history.rows = [Row("cust_a", W, "chaos_steps", "COMPLETED", 11, 2, 8, 1, token="k1")]
    history.traces = [
        line("start", 1.2, 0),
        line("step", 1.5, 1),
        line("saved", 2.0, 1, sequence=1),
        line("step", 2.5, 2),
        line("start", 13.2, 1, attempt=2, worker="w1"),
        line("step", 13.5, 2, attempt=2, worker="w1"),
        line("stop", 13.9, 2, attempt=2, worker="w1"),
    ]
    history.calls = [
        call("submit", 0.9, http_status=202, key="k1", status="PENDING", version=1),
        call("get", 2.6, version=6, status="RUNNING", generation=1, progress=50, sequence=1),
        call("get", 14.5, version=11, status="COMPLETED", generation=2, progress=100, sequence=1),
        call("foreign", 3.0, http_status=404, outcome="refused"),
        call("get", 4.0, http_status=0, outcome="unknown"),
    ]
    history.seen = [
        Seen(1, W, 1.5, 1.4, "status_update", 3, "RUNNING"),
        Seen(1, W, 13.0, 1.4, "status_update", 7, "REDISTRIBUTING"),
        Seen(1, W, 13.1, 1.4, "status_update", 8, "SCHEDULED"),
        Seen(1, W, 13.2, 1.4, "status_update", 9, "RUNNING"),
        Seen(1, W, 14.1, 1.4, "completed", 11, "COMPLETED"),
    ]
    history.samples = [Sample(2.0, "cust_a", 1, 3, 0, 5, 1, 0, 0), Sample(2.0, "w0", 1, 4)]
    history.faults = [Fault("kill worker", "w0", 2.6, 2.7)]
    history.logged = {(W, 1): [1, 2], (W, 2): [2]}
    return history


def test_a_good_history_breaks_nothing() -> None:
    assert check(good()) == []


def _lose_row(h: History) -> None:
    h.rows.clear()
    h.moves.clear()


def _two_rows(h: History) -> None:
    h.rows.append(replace(h.rows[0], workload_id="wl_2"))
    h.moves += [replace(m, workload_id="wl_2") for m in h.moves]


def _two_answers(h: History) -> None:
    h.calls.append(call("submit", 3.0, key="k1", workload_id="wl_2", http_status=202))


def _refused_but_stored(h: History) -> None:
    h.calls[0] = call("submit", 0.9, key="k1", http_status=503, outcome="refused", workload_id=None)


def _stale_read(h: History) -> None:
    h.calls.append(call("get", 20.0, version=9, status="RUNNING"))


def _foreign_read(h: History) -> None:
    h.calls.append(call("foreign", 20.0))


def _server_error(h: History) -> None:
    h.calls.append(call("get", 20.0, http_status=500, outcome="unknown"))


def _cancel_undone(h: History) -> None:
    h.calls.append(call("cancel", 13.95, status="CANCELLED", version=11))


def _illegal(h: History) -> None:
    h.moves[2] = replace(h.moves[2], source="PENDING")


def _gap(h: History) -> None:
    del h.moves[2]


def _version_falls(h: History) -> None:
    h.moves[6] = replace(h.moves[6], version=8)


def _after_the_end(h: History) -> None:
    h.moves.append(replace(move(9, "cancelled", 15.0, "COMPLETED", "CANCELLED", 2, 12), sequence=1))


def _row_went_on(h: History) -> None:
    h.rows[0] = replace(h.rows[0], version=12)


def _skipped_generation(h: History) -> None:
    h.moves[5:] = [replace(m, attempt=3) for m in h.moves[5:]]
    h.rows[0] = replace(h.rows[0], generation=3)


def _lost_checkpoint(h: History) -> None:
    h.traces[4] = replace(h.traces[4], step=0)


def _unlogged_checkpoint(h: History) -> None:
    h.moves[5] = replace(h.moves[5], sequence=0)


def _exclusive_overlap(h: History) -> None:
    h.traces = [replace(t, exclusive=True) for t in h.traces]
    h.traces.append(replace(line("step", 13.3, 3), exclusive=True))


def _endless_overlap(h: History) -> None:
    h.traces.append(line("step", 105.0, 3))


def _ran_twice(h: History) -> None:
    h.traces.append(replace(line("start", 2.4, 0), pid=999))


def _paused_but_alive(h: History) -> None:
    h.moves[4:] = [replace(move(5, "paused", 3.0, "RUNNING", "PAUSED", 1, 7), sequence=1)]
    h.rows[0] = replace(h.rows[0], status="PAUSED", version=7, generation=1, event_count=5)
    h.traces[4:] = [line("step", 9.0, 4)]
    h.calls, h.seen = h.calls[:1], []


def _pause_forgot(h: History) -> None:
    h.calls.append(call("pause", 3.0, sequence=0))


def _cancelled_but_alive(h: History) -> None:
    h.moves[4:] = [replace(move(5, "cancelled", 3.0, "RUNNING", "CANCELLED", 1, 7), sequence=1)]
    h.rows[0] = replace(h.rows[0], status="CANCELLED", version=7, generation=1, event_count=5)
    h.traces[4:] = [line("step", 95.0, 4)]
    h.calls, h.seen = h.calls[:1], []


def _poison(h: History) -> None:
    h.rows[0] = replace(h.rows[0], mishap="exit_agent")


def _progress_falls(h: History) -> None:
    h.calls.append(call("get", 2.8, version=7, status="REDISTRIBUTING", generation=1, progress=40))


def _log_gap(h: History) -> None:
    h.logged[W, 1] = [1, 3]


def _unfinished_result(h: History) -> None:
    del h.traces[-1]


def _needless_restart(h: History) -> None:
    h.faults.clear()


def _another_worker_s_fault(h: History) -> None:
    h.faults = [Fault("kill worker", "w3", 2.6, 2.7), Fault("kill broker", "broker", 2.6, 2.7)]


def _stream_back(h: History) -> None:
    h.seen[2], h.seen[3] = h.seen[3], h.seen[2]


def _stream_skips(h: History) -> None:
    del h.seen[1]


def _stream_goes_on(h: History) -> None:
    h.seen.append(Seen(1, W, 15.0, 1.4, "status_update", 12, "RUNNING"))


def _stream_lies(h: History) -> None:
    h.seen[3] = replace(h.seen[3], status="PAUSED")


def _stream_begins_earlier(h: History) -> None:
    h.seen.append(Seen(2, W, 15.0, 14.9, "status_update", 9, "RUNNING"))


def _over_limit(h: History) -> None:
    h.samples[0] = replace(h.samples[0], held=4, counted_held=4)


def _over_capacity(h: History) -> None:
    h.samples[1] = replace(h.samples[1], held=5)


def _over_admission(h: History) -> None:
    h.samples[0] = replace(h.samples[0], untried=6, queued=6, counted_queued=6)


def _counter_drifts(h: History) -> None:
    h.samples[0] = replace(h.samples[0], counted_held=2)


@pytest.mark.parametrize(
    ("promise", "break_it"),
    [
        ("I1", _lose_row),
        ("I2", _two_rows),
        ("I2", _two_answers),
        ("I4", _refused_but_stored),
        ("I29", _stale_read),
        ("I25", _foreign_read),
        ("I32", _server_error),
        ("I17", _cancel_undone),
        ("I5", _illegal),
        ("I5", _gap),
        ("I5", _version_falls),
        ("I6", _after_the_end),
        ("I6", _row_went_on),
        ("I9", _skipped_generation),
        ("I13", _lost_checkpoint),
        ("I13", _unlogged_checkpoint),
        ("I12", _exclusive_overlap),
        ("I12", _endless_overlap),
        ("I9", _ran_twice),
        ("I15", _paused_but_alive),
        ("I15", _pause_forgot),
        ("I17", _cancelled_but_alive),
        ("I18", _poison),
        ("I30", _progress_falls),
        ("I31", _log_gap),
        ("I7", _unfinished_result),
        ("I10", _needless_restart),
        ("I10", _another_worker_s_fault),
        ("I28", _stream_back),
        ("I28", _stream_skips),
        ("I28", _stream_goes_on),
        ("I28", _stream_lies),
        ("I28", _stream_begins_earlier),
        ("I23", _over_limit),
        ("I23", _over_capacity),
        ("I23", _over_admission),
        ("I5", _counter_drifts),
    ],
)
def test_a_broken_promise_is_found(promise: str, break_it: Callable[[History], None]) -> None:
    history = good()
    break_it(history)
    found = check(history)
    assert promise in {violation.promise for violation in found}, found
    for violation in found:
        assert violation.says
        assert violation.as_json()["history"]


def test_overlaps_of_different_origin_are_told_apart() -> None:
    plain, again, removed = good(), good(), good()
    for history in (plain, again, removed):
        _exclusive_overlap(history)
    again.traces.append(replace(line("start", 2.4, 0), pid=999, exclusive=True))
    removed.moves[4] = replace(removed.moves[4], reason="worker_removed")
    removed.faults.append(Fault("remove worker", "w0", 12.9, 13.0))
    overlap = "two attempts of an exclusive type ran at once"
    assert overlap in [each.says for each in check(plain)]
    assert overlap + ", the earlier one having been run again" in [each.says for each in check(again)]
    assert overlap + ", its worker having been removed" in [each.says for each in check(removed)]


def test_a_death_that_a_removal_was_ahead_of_counts_for_nothing() -> None:
    four, three = good(), good()
    for history in (four, three):
        history.rows[0] = replace(history.rows[0], status="FAILED", mishap="exit_agent")
        history.traces = [line("mishap", 1.0 + attempt, 0, attempt=attempt) for attempt in range(1, 5)]
        history.moves = [
            replace(move(n, "unscheduled", 1.5 + n, "SCHEDULED", "PENDING", n, n), reason="Worker heartbeat timeout")
            for n in range(1, 4)
        ]
    three.moves[2] = replace(three.moves[2], reason="Worker 'w0' was removed")
    bound = "a workload ended more than three agents"
    assert bound in [each.says for each in check(four)]
    assert bound not in [each.says for each in check(three)]


def test_lines_that_a_death_cut_short_are_left_out(tmp_path: Path) -> None:
    whole = '{"workload_id": "w", "attempt": 1, "at": 2.5, "what": "step", "worker_id": "w0", "pid": 7, "step": 3}\n'
    (tmp_path / "w.1.7").write_text(whole + whole[:40])
    assert list(read_traces(tmp_path)) == [Trace("w", 1, 2.5, "step", "w0", 7, 3)]
