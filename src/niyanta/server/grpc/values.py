"""JSON values in Protocol Buffers and back, exactly or not at all.

A ``google.protobuf.Struct`` knows doubles only. Going in, a whole number becomes an integer, unless it is so large
that it may have been rounded before; going out, an integer that no double equals is refused. Decoders also stop at
100 nested messages, and each object takes three, so that limit is kept in both directions: what is submitted here can
be read here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import copysign, isfinite
from typing import ParamSpec, TypeVar

import msgspec
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from niyanta.domain.json_value import Json
from niyanta.errors import InvalidInputError, InvalidStateError

__all__ = ["aside", "json_of", "moment_of", "moment_or_none", "put_details", "put_time", "struct_of"]

_MOST_MESSAGES = 100
_OUTSIDE = 3
"""Messages around what is in a workload's Struct: GetWorkloadResponse, Workload, and the Struct itself."""
_ASIDE_BYTES = 32 * 1024
_FIRST_UNSAFE = 2.0**53
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


P = ParamSpec("P")
Result = TypeVar("Result")


class _RefusedError(Exception):
    """A value that can't be carried; its path is gathered on the way up, so that good ones cost nothing for it."""

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.path: list[str | int] = []

    def field(self, root: str) -> str:
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in reversed(self.path))
        return (root + path).replace("\0", "\\u0000")[:300]


def json_of(struct: Struct, field: str) -> dict[str, Json]:
    """A Struct as a JSON object.

    Raises:
        InvalidInputError: NaN, an infinity, a whole number that may have been rounded, a Value without a kind, or
            nesting too deep; ``details.field``, which begins with ``field``, says where.
    """
    try:
        return _object_in(struct, _OUTSIDE)
    except _RefusedError as refused:
        place = refused.field(field)
        raise InvalidInputError(f"{place}: {refused.message}", details={"field": place, **refused.details}) from None


def _object_in(struct: Struct, level: int) -> dict[str, Json]:
    found: dict[str, Json] = {}
    key = ""
    try:
        for key, value in struct.fields.items():
            found[key] = _value_in(value, level + 2)
    except _RefusedError as refused:
        refused.path.append(key)
        raise
    return found


def _list_in(values: ListValue, level: int) -> list[Json]:
    found: list[Json] = []
    try:
        for value in values.values:
            found.append(_value_in(value, level + 1))  # noqa: PERF401 -- its length is the place of a bad value
    except _RefusedError as refused:
        refused.path.append(len(found))
        raise
    return found


def _value_in(value: Value, level: int) -> Json:
    if level > _MOST_MESSAGES:
        raise _too_deep()
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            return _number_in(value.number_value)
        case "bool_value":
            return value.bool_value
        case "null_value":
            return None
        case "struct_value":
            return _object_in(value.struct_value, level + 1)
        case "list_value":
            return _list_in(value.list_value, level + 1)
        case _:
            raise _RefusedError("the value has no kind; null is a kind of its own")


def _number_in(number: float) -> int | float:
    if not isfinite(number):
        raise _RefusedError("NaN and the infinities are no JSON values", allowed="finite numbers")
    if not number.is_integer():
        return number
    if abs(number) >= _FIRST_UNSAFE:
        most = int(_FIRST_UNSAFE) - 1
        raise _RefusedError(
            f"whole numbers beyond {most} may have been rounded on the way here; send it as text, or over REST",
            minimum=-most,
            maximum=most,
        )
    return int(number) if number or copysign(1, number) > 0 else number


def struct_of(text: str, field: str, into: Struct) -> None:
    """Put a stored JSON object into a Struct.

    Raises:
        InvalidStateError: It holds a number that no double equals, or is nested too deeply.
    """
    try:
        into.SetInParent()
        _object_out(msgspec.json.decode(text), into, _OUTSIDE)
    except _RefusedError as refused:
        place = refused.field(field)
        raise InvalidStateError(
            f"{place}: {refused.message}; read it over REST", details={"field": place, **refused.details}
        ) from None


def put_details(text: str | bytes, into: Struct) -> None:
    """Put a JSON object into a Struct for people to read; a value that can't be carried is there as its JSON text."""
    into.SetInParent()
    for key, value in msgspec.json.decode(text).items():
        try:
            _value_out(value, into.fields[key], _OUTSIDE + 2)
        except _RefusedError:
            into.fields[key].string_value = msgspec.json.encode(value).decode()


def _object_out(found: dict[str, Json], into: Struct, level: int) -> None:
    key = ""
    try:
        for key, value in found.items():
            _value_out(value, into.fields[key], level + 2)
    except _RefusedError as refused:
        refused.path.append(key)
        raise


def _list_out(found: list[Json], into: ListValue, level: int) -> None:
    try:
        for value in found:
            _value_out(value, into.values.add(), level + 1)
    except _RefusedError as refused:
        refused.path.append(len(into.values) - 1)
        raise


def _value_out(value: Json, into: Value, level: int) -> None:
    if level > _MOST_MESSAGES:
        raise _too_deep()
    if value is None:
        into.null_value = NULL_VALUE
    elif isinstance(value, str):
        into.string_value = value
    elif isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, int):
        try:
            into.number_value = value
        except OverflowError:
            raise _inexact(value) from None
        if into.number_value != value:
            raise _inexact(value)
    elif isinstance(value, float):
        into.number_value = value
    elif isinstance(value, dict):
        into.struct_value.SetInParent()
        _object_out(value, into.struct_value, level + 1)
    else:
        into.list_value.SetInParent()
        _list_out(value, into.list_value, level + 1)


def _inexact(value: int) -> _RefusedError:
    return _RefusedError(
        f"the integer {str(value)[:40]} can't be carried exactly, as gRPC's Struct knows doubles only"
    )


def _too_deep() -> _RefusedError:
    return _RefusedError(
        f"nested too deeply; Protocol Buffers stop at {_MOST_MESSAGES} messages, of which each object takes three",
        max_messages=_MOST_MESSAGES,
    )


async def aside(size_bytes: int, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Do work on so much data: in a thread when it would hold up other calls."""
    if size_bytes <= _ASIDE_BYTES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


def put_time(into: Timestamp, at: datetime | None) -> None:
    """Set a time, cut to milliseconds as everywhere in the API; None leaves the field unset."""
    if at is not None:
        seconds, ms = divmod((at - _EPOCH) // _MS, 1000)
        into.seconds, into.nanos = seconds, ms * 1_000_000


def moment_or_none(request: Message, field: str) -> datetime | None:
    """The time in a field of a request; None when it isn't set.

    Raises:
        InvalidInputError: No such time.
    """
    return moment_of(getattr(request, field), field) if request.HasField(field) else None


def moment_of(given: Timestamp, field: str) -> datetime:
    """A time in UTC.

    Raises:
        InvalidInputError: No such time.
    """
    try:
        return given.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidInputError(f"{field} must be a time from the year 1 to 9999", details={"field": field}) from exc
