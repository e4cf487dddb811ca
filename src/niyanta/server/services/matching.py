"""What a list is asked for, in terms of the store: labels, and times and beginnings of ids as bounds on ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from niyanta.domain.ids import make_id
from niyanta.domain.labels import FINGERPRINT_KEY
from niyanta.errors import InvalidInputError
from niyanta.server.store.list_query import FIRST_ID, LAST_ID, ListQuery

__all__ = ["id_range", "narrowed"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def narrowed(
    query: ListQuery,
    *,
    labels: Iterable[tuple[str, str]] = (),
    fingerprint: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    prefix: str = "",
) -> ListQuery:
    """The query for those only that have these labels, failed so, were created in this time, and whose ids begin so.

    Raises:
        InvalidInputError: There is no index for that in the order, or behind the offset, that the query has.
    """
    above, below = id_range(created_after, created_before)
    if prefix:
        # Behind all that is less than the text, and before all that is greater and doesn't begin with it.
        above = max(above, prefix[:-1] + chr(ord(prefix[-1]) - 1) + LAST_ID)
        below = min(below, prefix + LAST_ID)
    if fingerprint:
        labels = [*labels, (FINGERPRINT_KEY, fingerprint)]
    query = replace(query, labels=tuple(sorted(set(labels))), above=above, below=below)
    bounded = (above, below) != (FIRST_ID, LAST_ID)
    if (bounded or query.labels) and query.order_by != "created_at":
        raise InvalidInputError(
            "label, fingerprint, created_after, created_before and q go with order_by=created_at only",
            details={"field": "order_by", "allowed": ["created_at"]},
        )
    if query.labels and query.offset:
        raise InvalidInputError(
            "label and fingerprint go with a cursor, not an offset",
            details={"field": "offset", "allowed": "cursor"},
        )
    return query


def id_range(created_after: datetime | None, created_before: datetime | None) -> tuple[str, str]:
    """Workloads created in this time have ids greater than the first and smaller than the second.

    Args:
        created_after: Without this millisecond; None for no bound. Without a zone it is UTC, as the other.
        created_before: The same.
    """
    above = _first_id(created_after, 1) if created_after else FIRST_ID
    below = _first_id(created_before, 0) if created_before else LAST_ID
    return above, below


def _first_id(at: datetime, after_ms: int) -> str:
    """The lowest id that can belong to the millisecond of a time, or to one that comes ``after_ms`` later."""
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    since = aware - _EPOCH
    milliseconds = since // _MILLISECOND if after_ms else -(-since // _MILLISECOND)
    return make_id("wl_", max(0, milliseconds + after_ms), 0)
