"""What is inside the events of workers, made so that it can be kept: bounded, and nothing that PostgreSQL refuses."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from niyanta.domain.limits import MAX_DEPTH, MAX_KEPT_TEXT_LENGTH
from niyanta.domain.records import LogLevel
from niyanta.errors import InvalidInputError
from niyanta.wire.strict_json import StrictDecoder

__all__ = ["clean", "details_json", "level_of", "logged_at", "result_problem"]

_JUST_UNDER = timedelta(microseconds=999)
_LATEST_LINE = timedelta(days=1)
"""A line that arrives later than this after it was written gets a later time."""
_LEVELS = {level.value: level for level in LogLevel}
_INTEGERS = range(-(2**63), 2**63)

_check_result = StrictDecoder(dict[str, Any], what="it").decode
_encode = msgspec.json.Encoder().encode


def clean(text: str | None) -> str | None:
    """Text that PostgreSQL can hold: NUL becomes U+FFFD, and what is behind 64 Ki characters goes."""
    if text is None:
        return None
    if len(text) > MAX_KEPT_TEXT_LENGTH:
        text = text[:MAX_KEPT_TEXT_LENGTH] + "…"
    return text.replace("\0", "\ufffd") if "\0" in text else text


def level_of(text: str) -> LogLevel:
    """A log line's level; INFO when it is none of ours."""
    return _LEVELS.get(text, LogLevel.INFO)


def logged_at(occurred_at_ms: int, now: datetime, assigned_at: datetime | None) -> datetime:
    """A worker's time of a line, kept between the attempt's assignment and its arrival by the database's clock.

    So a log's order by time is the order in which it was written, however far apart the clocks of its attempts'
    workers are: who follows it misses nothing. And a clock that is far off chooses no partition.
    """
    try:
        occurred = datetime.fromtimestamp(occurred_at_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        occurred = now
    earliest = now - _LATEST_LINE
    if assigned_at is not None:
        earliest = max(earliest, assigned_at)
    # In whole milliseconds, as it is shown: what comes after a shown time is what comes after it here.
    return _whole(min(max(occurred, _whole(earliest + _JUST_UNDER)), now))


def _whole(time: datetime) -> datetime:
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def details_json(details: dict[str, Any]) -> str:
    """A log line's details as JSON: what JSON or PostgreSQL can't hold becomes the nearest that they can."""
    return _encode(_keepable(details, 0)).decode()


def _keepable(value: object, depth: int) -> object:
    match value:
        case None | bool():
            return value
        case str():
            return clean(value)
        case int():
            return value if value in _INTEGERS else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes() | datetime():
            return value  # in base 64, and as RFC 3339 has it
        case dict() | list() if depth >= MAX_DEPTH:
            return "…"
        case dict():
            return {clean(str(key)): _keepable(inner, depth + 1) for key, inner in value.items()}
        case list():
            return [_keepable(inner, depth + 1) for inner in value]
        case _:
            return f"<{type(value).__name__}>"


def result_problem(result: bytes, most_bytes: int) -> str | None:
    """Why a result can't be kept; None when it can: what the API takes from customers, it takes from workers."""
    if len(result) > most_bytes:
        return f"the result has {len(result)} bytes, the limit is {most_bytes}"
    try:
        _check_result(result)
    except InvalidInputError as exc:
        return f"the result can't be kept: {exc.message}"
    return None
