"""Query parameters and path ids, checked: each refusal names the field and what is allowed."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection
from datetime import UTC, datetime

import msgspec
from starlette.requests import Request

from niyanta.domain.transitions import Status
from niyanta.errors import InvalidInputError, NotFoundError
from niyanta.server.store.listing import ORDERS, ListQuery

__all__ = ["integer", "list_query", "moment", "next_cursor", "only", "path_id"]

_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_MAX_OFFSET = 10_000_000


def path_id(request: Request, name: str) -> str:
    """An id from the path; one that can't be an id is as missing as one that doesn't exist."""
    value = str(request.path_params[name])
    if not _ID.fullmatch(value):
        raise NotFoundError("There is no such workload")
    return value


def only(request: Request, allowed: Collection[str]) -> None:
    """Refuse query parameters that the endpoint doesn't have."""
    for name in request.query_params:
        if name not in allowed:
            raise InvalidInputError(
                f"There is no query parameter '{name[:50]}' here",
                details={"field": name[:50], "allowed": sorted(allowed)},
            )


def integer(request: Request, name: str, default: int, minimum: int, maximum: int) -> int:
    """A whole number within bounds."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not _INTEGER.fullmatch(text) or not minimum <= int(text) <= maximum:
        raise InvalidInputError(
            f"{name} must be a whole number from {minimum} to {maximum}",
            details={"field": name, "minimum": minimum, "maximum": maximum},
        )
    return int(text)


def choice(request: Request, name: str, default: str | None, allowed: Collection[str]) -> str | None:
    """One of a few words."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text not in allowed:
        raise InvalidInputError(
            f"{name} must be one of: {', '.join(allowed)}", details={"field": name, "allowed": list(allowed)}
        )
    return text


def moment(request: Request, name: str) -> datetime | None:
    """An ISO 8601 time; without a zone it is UTC."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidInputError(
            f"{name} must be an ISO 8601 time such as 2025-10-27T12:00:00Z", details={"field": name}
        ) from exc
    return at


class _Cursor(msgspec.Struct, array_like=True):
    after_id: str
    status: str | None
    workload_type: str | None
    descending: bool


def next_cursor(query: ListQuery, last_id: str) -> str:
    """Where the next page begins; opaque to clients, tied to filters and order."""
    place = _Cursor(last_id, query.status, query.workload_type, query.descending)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def list_query(request: Request, customer_id: str) -> ListQuery:
    """The list endpoint's parameters."""
    only(request, ("status", "workload_type", "limit", "offset", "order_by", "order", "cursor"))
    status = choice(request, "status", None, [status.value for status in Status])
    order_by = choice(request, "order_by", "created_at", ORDERS) or "created_at"
    descending = choice(request, "order", "desc", ("asc", "desc")) == "desc"
    workload_type = request.query_params.get("workload_type")
    if workload_type is not None and ("\0" in workload_type or len(workload_type) > 200):
        raise InvalidInputError("workload_type is not well formed", details={"field": "workload_type"})
    cursor = request.query_params.get("cursor")
    after_id = None
    if cursor is not None:
        if "offset" in request.query_params:
            raise InvalidInputError("Give either cursor or offset, not both", details={"field": "cursor"})
        after_id = _read_cursor(cursor, status, workload_type, order_by, descending)
    return ListQuery(
        customer_id,
        status,
        workload_type,
        order_by,
        descending,
        integer(request, "limit", 50, 1, 100),
        integer(request, "offset", 0, 0, _MAX_OFFSET),
        after_id,
    )


def _read_cursor(text: str, status: str | None, workload_type: str | None, order_by: str, descending: bool) -> str:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        place = msgspec.msgpack.decode(raw, type=_Cursor)
    except (binascii.Error, ValueError, msgspec.DecodeError) as exc:
        raise InvalidInputError("The cursor is not one of ours", details={"field": "cursor"}) from exc
    same = (place.status, place.workload_type, place.descending) == (status, workload_type, descending)
    if not same or order_by != "created_at" or not _ID.fullmatch(place.after_id):
        raise InvalidInputError(
            "The cursor belongs to other filters or another order; begin again without it",
            details={"field": "cursor"},
        )
    return place.after_id
