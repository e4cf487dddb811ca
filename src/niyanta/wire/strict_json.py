"""The one JSON decoder for what customers send: UTF-8 only, bounded, and nothing that can't be stored exactly.

msgspec refuses invalid UTF-8, other encodings, NaN, Infinity and numbers beyond a double. The rest is checked here:
NUL characters, integers beyond 64 bits, and nesting.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from niyanta.errors import InvalidInputError

__all__ = ["MAX_DEPTH", "StrictDecoder"]

MAX_DEPTH = 64

T = TypeVar("T")

_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_NUL = re.compile(rb"\\u0000|\x00")
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1


class StrictDecoder(Generic[T]):
    """Decodes bodies of one type."""

    def __init__(self, kind: type[T]) -> None:
        self._decode = msgspec.json.Decoder(kind).decode
        self._kind = kind

    def decode(self, body: bytes) -> T:
        """Decode a body.

        Raises:
            InvalidInputError: ``details.field`` names the place, where there is one.
        """
        if _depth_may_exceed(body):
            raise InvalidInputError(
                f"The body is nested too deeply; {MAX_DEPTH} levels are allowed",
                details={"max_depth": MAX_DEPTH},
            )
        try:
            value = self._decode(body)
        except msgspec.ValidationError as exc:
            text = str(exc)
            place = _PATH.search(text)
            field = place.group(1) if place else ""
            named = re.search(r"field `([^`]+)`", text)
            if named:
                field = f"{field}.{named.group(1)}".lstrip(".")
            message = _PATH.sub("", text)
            where = f"{field}: " if field else ""
            raise InvalidInputError(f"{where}{message}", details={"field": field} if field else {}) from exc
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise InvalidInputError(f"The body is not valid JSON in UTF-8: {exc}") from exc
        if _NUL.search(body) or _LONG_NUMBER.search(body):
            _check(msgspec.json.decode(body), "")
        return value


def _depth_may_exceed(body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    in_string = escaped = False
    for byte in body:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in (0x5B, 0x7B):
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif byte in (0x5D, 0x7D):
            depth -= 1
    return False


def _check(value: Any, place: str) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _check(key, place)
            _check(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _check(inner, f"{place}[{number}]")
    elif isinstance(value, str) and "\0" in value:
        raise InvalidInputError("NUL characters are not allowed", details={"field": place.replace("\0", "")})
    elif isinstance(value, int) and not _MIN_INT <= value <= _MAX_INT:
        raise InvalidInputError(
            "Integers must fit 64 bits",
            details={"field": place, "minimum": _MIN_INT, "maximum": _MAX_INT},
        )
