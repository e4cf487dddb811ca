"""What a list of workloads is asked for, and places in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["FIRST_ID", "LAST_ID", "ORDERS", "ListQuery", "Place", "SortValue"]

ORDERS = (
    "created_at",
    "priority",
    "status",
    "workload_type",
    "progress_percent",
    "started_at",
    "completed_at",
)

SortValue = str | int | datetime | None
"""Where a workload stands in an order. None: it has no such time, and comes last in both directions."""

Place = tuple[SortValue, str]
"""A place between two workloads of a list: behind the one with this sort value and id."""

FIRST_ID, LAST_ID = "", "~"
"""Sort before and after every id and every place, as bytes."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What to list."""

    customer_id: str
    status: str | None = None
    workload_type: str | None = None
    order_by: str = "created_at"
    """One of `ORDERS`. Ties go by id, in the same direction; what has no value comes last in both."""
    descending: bool = True
    limit: int = 50
    offset: int = 0
    after: Place | None = None
    """Where the page before ended, from `cursor_values`. Not together with an offset."""
    above: str = FIRST_ID
    """Only ids behind this text; with this and the next, ``order_by`` is ``created_at``."""
    below: str = LAST_ID
    """Only ids before this text."""
    labels: tuple[tuple[str, str], ...] = ()
    """Only what has all of these keys with these values; then ``order_by`` is ``created_at``, and ``offset`` 0."""
