"""The text of a live feed: what is told is what is read back, whatever customers put into it."""

from __future__ import annotations

import pytest

from niyanta.server.watching.events import (
    HEARTBEAT,
    RETRY,
    CustomerEvent,
    FeedEvent,
    FleetEvent,
    MissedEvent,
    MissedReason,
    ReadyEvent,
    WorkloadEvent,
    events_in,
    told,
)


def workload(message: str | None) -> WorkloadEvent:
    return WorkloadEvent("wl_1", "cust_a", "count", "RUNNING", 3, 40, 1, "w1", message, "2025-01-01T00:00:00.000Z")


EVENTS: list[tuple[str, FeedEvent]] = [
    ("ready", ReadyEvent(resumed=True)),
    ("missed", MissedEvent(MissedReason.TOO_SLOW)),
    ("fleet", FleetEvent()),
    ("customer", CustomerEvent("cust_b")),
    ("workload", workload(None)),
]


def test_each_event_is_read_back_with_its_id() -> None:
    text = RETRY + b"".join(told(kind, f"abc.{at}", event) for at, (kind, event) in enumerate(EVENTS)) + HEARTBEAT
    assert list(events_in(text)) == [(f"abc.{at}", event) for at, (_, event) in enumerate(EVENTS)]


@pytest.mark.parametrize("message", ["\n\nid: x.1\nevent: workload\ndata: {}\n\n", "\r\n\r\n", "\u2028", "ü\0"])
def test_what_a_handler_says_is_no_event_of_its_own(message: str) -> None:
    event = workload(message)
    assert list(events_in(told("workload", "abc.1", event))) == [("abc.1", event)]


def test_without_an_event_there_is_none() -> None:
    assert list(events_in(HEARTBEAT)) == list(events_in(RETRY)) == list(events_in(b"")) == []
