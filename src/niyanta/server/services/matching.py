"""Times as bounds on ids: an id begins with the millisecond of its creation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from niyanta.domain.ids import make_id

__all__ = ["id_range"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def id_range(created_after: datetime | None, created_before: datetime | None) -> tuple[str, str]:
    """Workloads created in this time have ids greater than the first and smaller than the second.

    Args:
        created_after: Without this millisecond; None for no bound. Without a zone it is UTC, as the other.
        created_before: The same.
    """
    above = _first_id(created_after, 1) if created_after else ""
    below = _first_id(created_before, 0) if created_before else "~"
    return above, below


def _first_id(at: datetime, after_ms: int) -> str:
    """The lowest id that can belong to the millisecond of a time, or to one that comes ``after_ms`` later."""
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    since = aware - _EPOCH
    milliseconds = since // _MILLISECOND if after_ms else -(-since // _MILLISECOND)
    return make_id("wl_", max(0, milliseconds + after_ms), 0)
