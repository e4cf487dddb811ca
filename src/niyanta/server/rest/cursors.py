"""Where the next page of a list begins: opaque to clients, tied to filters and order."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

import msgspec

from niyanta.errors import InvalidInputError
from niyanta.server.store.listing import ListQuery, Place, SortValue, place_fits

__all__ = ["next_cursor", "read_cursor"]


class _Cursor(msgspec.Struct, array_like=True):
    value: str | int | None
    """A time as ISO 8601 text, to the microsecond."""
    workload_id: str
    status: str | None
    workload_type: str | None
    order_by: str
    descending: bool

    def belongs_to(self, query: ListQuery) -> bool:
        return (self.status, self.workload_type, self.order_by, self.descending) == (
            query.status,
            query.workload_type,
            query.order_by,
            query.descending,
        )


def next_cursor(query: ListQuery, place: Place) -> str:
    """The cursor after a page's last workload, whose place in the query's order is given."""
    value, workload_id = place
    spelt = value.isoformat() if isinstance(value, datetime) else value
    cursor = _Cursor(spelt, workload_id, query.status, query.workload_type, query.order_by, query.descending)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode().rstrip("=")


def read_cursor(text: str, query: ListQuery) -> Place:
    """The place behind which a page begins.

    Raises:
        InvalidInputError: Not one of ours, or of other filters or another order.
    """
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        cursor = msgspec.msgpack.decode(raw, type=_Cursor)
    except (binascii.Error, ValueError, msgspec.DecodeError) as exc:
        raise InvalidInputError("The cursor is not one of ours", details={"field": "cursor"}) from exc
    if not cursor.belongs_to(query):
        raise InvalidInputError(
            "The cursor belongs to other filters or another order; begin again without it",
            details={"field": "cursor"},
        )
    place = (_value(cursor), cursor.workload_id)
    if not place_fits(place, query.order_by):
        raise InvalidInputError("The cursor is not one of ours", details={"field": "cursor"})
    return place


def _value(cursor: _Cursor) -> SortValue:
    if cursor.order_by not in ("started_at", "completed_at") or not isinstance(cursor.value, str):
        return cursor.value
    try:
        return datetime.fromisoformat(cursor.value)
    except ValueError:
        return cursor.value  # which fits nowhere
