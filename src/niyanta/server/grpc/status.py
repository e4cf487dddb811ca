"""An error of ours as gRPC tells it: a status code, and a ``google.rpc.Status`` with details for programs.

Source: https://google.aip.dev/193. The error classes know their gRPC code (`niyanta.errors`).
"""

from __future__ import annotations

from urllib.parse import quote

import grpc
import msgspec
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details_pb2
from google.rpc import status_pb2

from niyanta.errors import ApiError, InvalidInputError, InvalidStateError

__all__ = ["DOMAIN", "code_of", "metadata_of", "safe_message", "status_of"]

DOMAIN = "niyanta"
_STATUS_KEY = "grpc-status-details-bin"

# Clients refuse answers with more than 8 KiB of metadata; there the status is in base 64 and the message comes twice.
_MOST_MESSAGE_BYTES = 1000
_MOST_PART_BYTES = 1200
_MOST_TEXT = 300


def code_of(error: ApiError) -> grpc.StatusCode:
    """The status code."""
    return grpc.StatusCode[error.grpc_code]


def safe_message(error: ApiError) -> str:
    """The message, cut so that it fits into metadata."""
    text = error.message
    while len(quote(text)) > _MOST_MESSAGE_BYTES:
        text = text[: len(text) * 3 // 4] + "…"
    return text


def metadata_of(error: ApiError, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
    """Trailing metadata: the request id, and the status with its details."""
    return (("x-request-id", request_id), (_STATUS_KEY, status_of(error, request_id).SerializeToString()))


def status_of(error: ApiError, request_id: str) -> status_pb2.Status:
    """The status with ErrorInfo, RequestInfo, and where they apply BadRequest, PreconditionFailure, RetryInfo."""
    found = status_pb2.Status(code=code_of(error).value[0], message=safe_message(error))
    info = details_pb2.ErrorInfo(reason=error.code, domain=DOMAIN)
    for key, value in error.details.items():
        info.metadata[key] = _text(value)
    parts: list[Message] = [info, details_pb2.RequestInfo(request_id=request_id)]
    if error.retry_after_seconds is not None:
        retry = details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(error.retry_after_seconds * 1000))
        parts.append(retry)
    if isinstance(error, InvalidStateError):
        parts.append(_precondition(error))
    elif isinstance(error, InvalidInputError):
        parts.append(_bad_request(error))
    for part in parts:
        _shorten(part)
        found.details.add().Pack(part)
    return found


def _bad_request(error: InvalidInputError) -> details_pb2.BadRequest:
    """A violation for each of the ``details.errors``, or one for ``details.field``."""
    found = details_pb2.BadRequest()
    for each in error.details.get("errors", ()):
        found.field_violations.add(field=_text(each["pointer"]), description=_text(each["message"]))
    if not found.field_violations and (field := error.details.get("field")):
        found.field_violations.add(field=_text(field), description=safe_message(error))
    return found


def _precondition(error: InvalidStateError) -> details_pb2.PreconditionFailure:
    found = details_pb2.PreconditionFailure()
    kind = "current_status" if "current_status" in error.details else "field"
    found.violations.add(type=kind, subject=_text(error.details.get(kind, "")), description=safe_message(error))
    return found


def _shorten(part: Message) -> None:
    """Leave out entries, the last first, until the part isn't too large."""
    while part.ByteSize() > _MOST_PART_BYTES:
        if isinstance(part, details_pb2.ErrorInfo) and part.metadata:
            del part.metadata[list(part.metadata)[-1]]
        elif isinstance(part, details_pb2.BadRequest) and part.field_violations:
            del part.field_violations[-1]
        else:
            return


def _text(value: object) -> str:
    """A detail as text: texts as they are, all else as JSON."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"
