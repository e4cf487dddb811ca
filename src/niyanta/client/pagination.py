"""Where a page stands in its list."""

from __future__ import annotations

from datetime import datetime

import msgspec

__all__ = ["Pagination"]


class Pagination(msgspec.Struct):
    """The way to the next page. ``limit``, ``offset``, ``total`` come by offset, ``total`` also with a log's tail."""

    has_more: bool
    next_cursor: str | None = None
    total: int | None = None
    total_is_estimate: bool | None = None
    limit: int | None = None
    offset: int | None = None
    reached_at: datetime | None = None
    """Of workloads by labels, while there are more: up to when the page has looked, by their submission."""
