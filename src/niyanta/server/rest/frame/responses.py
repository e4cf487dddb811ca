"""What the REST API answers: bodies in the contract's shapes, and the error envelope."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload

import msgspec
from starlette.responses import Response

from niyanta.errors import ApiError

__all__ = ["error_response", "json_response", "number", "timestamp"]

_encode = msgspec.json.Encoder().encode


@overload
def timestamp(at: datetime) -> str: ...
@overload
def timestamp(at: None) -> None: ...
def timestamp(at: datetime | None) -> str | None:
    """RFC 3339, UTC, milliseconds, ``Z``."""
    if at is None:
        return None
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[:-6] + "Z"


def number(value: float) -> float:
    """A whole number is shown without a decimal point, as the contract shows it."""
    return int(value) if value == int(value) else value


def json_response(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON body; `msgspec.Raw` parts are passed through as they are stored."""
    return Response(_encode(body), status, headers, media_type="application/json")


def error_response(error: ApiError, request_id: str, headers: dict[str, str] | None = None) -> Response:
    """The contract's error envelope."""
    headers = dict(headers or {})
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_seconds)))
    if error.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, section 11.6.1
    body = {
        "error": {
            "code": error.code,
            "message": error.message,
            "details": error.details,
            "request_id": request_id,
        }
    }
    return json_response(body, error.http_status, headers)
