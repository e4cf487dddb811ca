"""Who can cause a line in the log can't cause it without end, and is not in the way of others' lines."""

from __future__ import annotations

import logging
from collections import Counter

from niyanta.server.observability.line_bounds import LineBounds


class Heard(logging.Handler):
    """Keeps what is let through."""

    def __init__(self, bounds: LineBounds) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.addFilter(bounds)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def record(event: str = "intake.unreadable", level: int = logging.WARNING, **facts: object) -> logging.LogRecord:
    found = logging.LogRecord("niyanta.test", level, "x.py", 1, event, (), None)
    found.__dict__.update(facts)
    return found


def test_one_sender_s_lines_are_bounded_and_the_others_still_heard() -> None:
    now = 0.0
    heard = Heard(LineBounds(of_one=20, of_all=500, clock=lambda: now))
    for _ in range(10_000):
        heard.handle(record(worker_id="evil"))
    heard.handle(record(worker_id="good"))
    heard.handle(record("worker.lost", worker_id="evil"))
    assert Counter(r.__dict__["worker_id"] for r in heard.records) == {"evil": 21, "good": 1}
    now = 10.0
    heard.handle(record(worker_id="evil"))
    assert heard.records[-1].__dict__["left_out"] == 9_980
    heard.handle(record(worker_id="evil"))
    assert "left_out" not in heard.records[-1].__dict__


def test_many_senders_together_are_bounded_too() -> None:
    heard = Heard(LineBounds(of_one=20, of_all=500, clock=lambda: 0.0))
    for number in range(100_000):
        heard.handle(record(worker_id=f"evil{number}"))
    assert len(heard.records) == 500


def test_names_that_are_made_up_take_no_memory() -> None:
    bounds = LineBounds(clock=lambda: 0.0)
    for number in range(20_000):
        bounds.filter(record(f"event {number}", worker_id="x" * 1000 + str(number)))
    assert len(bounds) <= 5_000


def test_what_is_asked_for_to_debug_is_told_in_full() -> None:
    heard = Heard(LineBounds(clock=lambda: 0.0))
    for _ in range(1_000):
        heard.handle(record(level=logging.DEBUG))
    assert len(heard.records) == 1_000
