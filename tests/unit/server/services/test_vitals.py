"""Slots by a tag: few values, however many there are."""

from __future__ import annotations

from niyanta.domain.limits import MAX_METRIC_TAG_VALUES
from niyanta.domain.placement import WorkerView
from niyanta.server.services.vitals import slots_by_tag


def view(number: int, capacity: int, used: int, **tags: str) -> WorkerView:
    found = WorkerView(f"w{number}", "i", capacity, tags, frozenset())
    found.used = used
    return found


def test_slots_are_added_up_by_value() -> None:
    views = [view(1, 4, 1, hardware="gpu"), view(2, 8, 8, hardware="gpu"), view(3, 2, 0)]
    assert slots_by_tag(views, "hardware") == {"gpu": (12, 9), "": (2, 0)}


def test_values_beyond_the_bound_are_shown_together() -> None:
    views = [view(n, 10_000 - n, 1, host=f"h{n}") for n in range(MAX_METRIC_TAG_VALUES + 10)]
    found = slots_by_tag([*views, view(999, 20_000, 3, host="other")], "host")
    assert len(found) == MAX_METRIC_TAG_VALUES
    assert sum(total for total, _ in found.values()) == 20_000 + sum(each.capacity for each in views)
    assert found["other"][1] == 3 + 11
