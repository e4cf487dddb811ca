"""What waits while the broker is away."""

from __future__ import annotations

import time
from typing import Any

import pytest

from niyanta.wire.messages import AttemptRef, CheckpointSaved, Event, EventBody, Failed, LogLine, Progressed, Started
from niyanta.worker import outbox as module
from niyanta.worker.outbox import Outbox, Who

REF, OTHER = AttemptRef("cust", "wl_1", 1), AttemptRef("cust", "wl_2", 1)


def new_outbox() -> Outbox:
    nobody: Any = None
    return Outbox(nobody, "events", lambda: Who("w", "i"), lambda *_: None, lambda: None)


def drained(outbox: Outbox) -> list[Event]:
    events: list[Event] = []
    while outbox._waiting:
        events += outbox._next_batch()
    return events


def test_of_progress_only_the_newest_waits() -> None:
    outbox = new_outbox()
    for number in range(1, 10_001):
        outbox.add(REF, number, Progressed(number // 101))
        outbox.add(OTHER, number, Progressed(1))
    assert [(e.ref, e.body) for e in drained(outbox)] == [(REF, Progressed(99)), (OTHER, Progressed(1))]


def test_progress_doesn_t_overtake_a_checkpoint() -> None:
    outbox = new_outbox()
    bodies: list[EventBody] = [
        Progressed(1),
        Progressed(2),
        CheckpointSaved(b"1", b""),
        Progressed(3),
        Progressed(4),
        Failed("x"),
    ]
    for number, body in enumerate(bodies, 1):
        outbox.add(REF, number, body)
    events = drained(outbox)
    assert [e.body for e in events] == [Progressed(2), CheckpointSaved(b"1", b""), Progressed(4), Failed("x")]
    sequences = [e.sequence for e in events]
    assert sequences == sorted(set(sequences))


def test_log_lines_have_a_bound_in_number_and_in_bytes() -> None:
    outbox = new_outbox()
    count = 0
    while outbox.has_room(REF):
        count += 1
        outbox.add(REF, count, LogLine("INFO", "x"))
    assert count == module._MOST_LINES
    assert outbox.has_room(OTHER)
    large = 0
    while outbox.has_room(OTHER):
        large += 1
        outbox.add(OTHER, large, LogLine("INFO", "x" * 8000))
    assert large < 1000
    assert len(drained(outbox)) == count + large
    assert outbox.has_room(REF)
    assert outbox.has_room(OTHER)
    assert outbox._all_line_bytes == 0


def test_messages_of_progress_count_as_lines() -> None:
    outbox = new_outbox()
    for number in range(1, 20_001):
        outbox.add(REF, number, Progressed(5, "still at it"))
    events = drained(outbox)
    assert len(events) == module._MOST_LINES + 1
    assert events[-1].body == Progressed(5)


def test_all_attempts_together_have_a_bound() -> None:
    outbox = new_outbox()
    refs = [AttemptRef("cust", f"wl_{number}", 1) for number in range(200)]
    for ref in refs:
        number = 0
        while outbox.has_room(ref):
            number += 1
            outbox.add(ref, number, LogLine("INFO", "x" * 8000))
    assert outbox._all_line_bytes < module._MOST_LINE_BYTES_OF_ALL + 40_000
    assert sum(len(w.body.message) for w in outbox._waiting if isinstance(w.body, LogLine)) < 64 << 20


def test_batches_have_a_bound() -> None:
    outbox = new_outbox()
    for number in range(1, 3001):
        outbox.add(REF, number, Started())
    outbox.add(REF, 3001, CheckpointSaved(b"x" * (1 << 20), b""))
    outbox.add(REF, 3002, Started())
    sizes = []
    while outbox._waiting:
        sizes.append(len(outbox._next_batch()))
    assert sizes == [1000, 1000, 1000, 1, 1]


def test_stamps_never_go_back_though_the_machines_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = new_outbox()
    outbox.add(REF, 1, LogLine("INFO", "before"))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    outbox.add(REF, 2, LogLine("INFO", "after"))
    first, second = (event.occurred_at_ms for event in drained(outbox))
    assert first <= second < first + 10_000


def test_stamps_are_by_the_services_clock_once_it_is_known() -> None:
    outbox = new_outbox()
    outbox.set_clock(1_000_000.0, time.monotonic() - 5)
    outbox.add(REF, 1, LogLine("INFO", "hello"))
    (event,) = drained(outbox)
    assert 1_000_005_000 <= event.occurred_at_ms < 1_000_030_000
