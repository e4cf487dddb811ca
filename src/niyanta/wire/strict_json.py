"""The one JSON decoder for what customers send: UTF-8 only, bounded, and nothing that can't be stored exactly.

msgspec refuses invalid UTF-8, other encodings, byte order marks, lone surrogates, NaN, Infinity and numbers beyond a
double; of duplicate keys it keeps the last. The rest is checked here: NUL characters, integers beyond 64 bits,
nesting, and the number of values, which bounds the time that anything done with a body can take.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from niyanta.domain.limits import MAX_DEPTH, MAX_VALUES
from niyanta.errors import InvalidInputError

__all__ = ["StrictDecoder", "check_value"]


T = TypeVar("T")

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_PATH = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_NAMED = re.compile(r"field `([^`]+)`")
_HARMLESS = frozenset({bool, float, type(None)})
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1


class StrictDecoder(Generic[T]):
    """Decodes bodies of one type.

    Args:
        kind: What a body is.
        max_values: Values that a body may hold.
        what: Names it in refusals.
    """

    def __init__(self, kind: type[T], max_values: int = MAX_VALUES, *, what: str = "The body") -> None:
        self._what = what
        self._decode = msgspec.json.Decoder(kind).decode
        self._kind = kind
        self._max_values = max_values

    def decode(self, body: bytes) -> T:
        """Decode a body.

        Raises:
            InvalidInputError: ``details`` names the place and what is allowed there.
        """
        if _count_at_most(body) > self._max_values and _count_at_most(_STRING.sub(b"", body)) > self._max_values:
            raise InvalidInputError(
                f"{self._what} holds too many values; {self._max_values} are allowed",
                details={"field": "body", "max_values": self._max_values},
            )
        try:
            value = self._decode(body)
        except msgspec.ValidationError as exc:
            raise self._mistyped(str(exc)) from exc
        except RecursionError as exc:
            raise _too_deep() from exc
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            problem = f"{self._what} is not valid JSON in UTF-8: {exc}" if body.strip() else "A JSON body is needed"
            raise InvalidInputError(problem, details={"field": "body", "allowed": "JSON in UTF-8"}) from exc
        check_value(value)
        return value

    def _mistyped(self, text: str) -> InvalidInputError:
        place = _PATH.search(text)
        path = place.group(1) if place else ""
        message = _PATH.sub("", text)
        field = path
        details: dict[str, Any] = {}
        if named := _NAMED.search(message):
            field = f"{path}.{named.group(1)}".lstrip(".")
            if "unknown field" in message and (allowed := _fields_at(self._kind, path)):
                details["allowed"] = allowed
        return InvalidInputError(f"{field or 'body'}: {message}", details={"field": field or "body", **details})


def check_value(value: object) -> None:
    """Refuse what JSON allows but nobody could store or hand on exactly.

    Args:
        value: Decoded: structs, objects, arrays and what is in them.

    Raises:
        InvalidInputError: NUL characters, integers beyond 64 bits, or nesting beyond `MAX_DEPTH`; ``details.field``
            says where.
    """
    try:
        _walk(value, 0)
    except _UnstorableError as found:
        path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in reversed(found.path)).lstrip(".")
        field = path.replace("\0", "\\u0000")[:300] or "body"
        raise InvalidInputError(f"{field}: {found.message}", details={"field": field, **found.allowed}) from found


class _UnstorableError(Exception):
    def __init__(self, message: str, allowed: dict[str, Any]) -> None:
        super().__init__(message)
        self.message = message
        self.allowed = allowed
        self.path: list[str | int] = []


# Any: JSON, and looked at by its type.
def _walk(value: Any, depth: int) -> None:  # noqa: C901 -- one branch for each kind of value, on the hot path
    """Look at every value; the path of a bad one is gathered on the way up, so that good ones cost nothing for it."""
    kind = type(value)
    if kind is str:
        if "\0" in value:
            raise _UnstorableError("NUL characters are not allowed", {"allowed": "text without NUL"})
        return
    if kind is int:
        if not _MIN_INT <= value <= _MAX_INT:
            raise _UnstorableError("integers must fit 64 bits", {"minimum": _MIN_INT, "maximum": _MAX_INT})
        return
    if kind in _HARMLESS:
        return
    if depth >= MAX_DEPTH:
        raise _UnstorableError(f"nested too deeply; {MAX_DEPTH} levels are allowed", {"max_depth": MAX_DEPTH})
    key: str | int = ""
    try:
        if kind is dict:
            for key, inner in value.items():
                if "\0" in key:  # type: ignore[operator]  # JSON's keys are text
                    raise _UnstorableError("NUL characters are not allowed in keys", {"allowed": "text without NUL"})
                if type(inner) not in _HARMLESS:
                    _walk(inner, depth + 1)
        elif kind is list:
            for key, inner in enumerate(value):  # noqa: B007 -- `key` is read when it goes wrong
                if type(inner) not in _HARMLESS:
                    _walk(inner, depth + 1)
        elif isinstance(value, msgspec.Struct):
            for key in value.__struct_fields__:
                inner = getattr(value, key)
                if inner is not None:
                    _walk(inner, depth + 1)
    except _UnstorableError as found:
        found.path.append(key)
        raise


def _too_deep() -> InvalidInputError:
    return InvalidInputError(
        f"The body is nested too deeply; {MAX_DEPTH} levels are allowed",
        details={"field": "body", "max_depth": MAX_DEPTH},
    )


def _count_at_most(body: bytes) -> int:
    """No fewer than the values of a body: each but the first of a container has a comma before it."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _fields_at(kind: type, path: str) -> list[str]:
    """Names of the fields of the struct at a path; none when there is no struct."""
    found = msgspec.inspect.type_info(kind)
    for step in [*re.findall(r"[^.\[\]]+", path), ""]:
        if isinstance(found, msgspec.inspect.UnionType):
            inner = [one for one in found.types if not isinstance(one, msgspec.inspect.NoneType)]
            found = inner[0]
        if not step:
            break
        if isinstance(found, msgspec.inspect.ListType):
            found = found.item_type
        elif isinstance(found, msgspec.inspect.StructType):
            fields = {one.encode_name: one.type for one in found.fields}
            if step not in fields:
                return []
            found = fields[step]
    return [one.encode_name for one in found.fields] if isinstance(found, msgspec.inspect.StructType) else []
