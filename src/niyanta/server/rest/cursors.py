"""Where the next page of a list begins: opaque to clients, tied to filters and order."""

from __future__ import annotations

import base64
import binascii

import msgspec

from niyanta.errors import InvalidInputError
from niyanta.server.store.listing import ListQuery

__all__ = ["next_cursor", "read_cursor"]


class _Cursor(msgspec.Struct, array_like=True):
    after_id: str
    status: str | None
    workload_type: str | None
    descending: bool


def next_cursor(query: ListQuery, last_id: str) -> str:
    """The cursor after a page's last workload."""
    place = _Cursor(last_id, query.status, query.workload_type, query.descending)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def read_cursor(text: str, query: ListQuery) -> str:
    """The id after which a page begins.

    Raises:
        InvalidInputError: Not one of ours, or of other filters or another order.
    """
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        place = msgspec.msgpack.decode(raw, type=_Cursor)
    except (binascii.Error, ValueError, msgspec.DecodeError) as exc:
        raise InvalidInputError("The cursor is not one of ours", details={"field": "cursor"}) from exc
    same = (place.status, place.workload_type, place.descending) == (
        query.status,
        query.workload_type,
        query.descending,
    )
    if not same or query.order_by != "created_at":
        raise InvalidInputError(
            "The cursor belongs to other filters or another order; begin again without it",
            details={"field": "cursor"},
        )
    return place.after_id
