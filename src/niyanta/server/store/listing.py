"""Listing a customer's workloads, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from niyanta.server.store.database import Connection, Queries

__all__ = ["ORDERS", "ListQuery", "ListingStore"]

_queries = Queries("listing.sql")

ORDERS = (
    "created_at",
    "priority",
    "status",
    "workload_type",
    "progress_percent",
    "started_at",
    "completed_at",
)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What to list. ``after_id`` (a cursor's place) goes with the default order only."""

    customer_id: str
    status: str | None = None
    workload_type: str | None = None
    order_by: str = "created_at"
    descending: bool = True
    limit: int = 50
    offset: int = 0
    after_id: str | None = None


class ListingStore:
    """Queries for pages of workloads."""

    async def page(self, conn: Connection, query: ListQuery) -> list[Any]:
        """One row more than the limit, when there are more."""
        filters = {
            "customer_id": query.customer_id,
            "statuses": [query.status] if query.status else None,
            "workload_types": [query.workload_type] if query.workload_type else None,
            "most": query.limit + 1,
            "skip": query.offset,
        }
        if query.order_by != "created_at":
            rows = await _queries.list_sorted(conn, order_by=query.order_by, descending=query.descending, **filters)
        elif query.descending:
            rows = await _queries.list_newest(conn, before=query.after_id, **filters)
        else:
            rows = await _queries.list_oldest(conn, after=query.after_id, **filters)
        return list(rows)

    async def total(self, conn: Connection, query: ListQuery) -> int:
        """How many workloads the filters let through."""
        row = await _queries.count_listed(
            conn,
            customer_id=query.customer_id,
            statuses=[query.status] if query.status else None,
            workload_types=[query.workload_type] if query.workload_type else None,
        )
        return int(row["total"])
