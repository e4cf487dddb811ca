"""Query parameters and path ids: declared once, checked, and shown in the OpenAPI document as they are checked."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from starlette.requests import HTTPConnection, Request

from niyanta.domain.ids import ID_PATTERN
from niyanta.domain.labels import KEY_PATTERN, VALUE_PATTERN, read_label
from niyanta.domain.limits import MAX_LABELS
from niyanta.errors import InvalidInputError, NotFoundError

__all__ = ["Choice", "Day", "Integer", "LabelFilter", "Moment", "Parameter", "Text", "only", "path_id"]

_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?)(Z|[ +-][0-9]{2}:?[0-9]{2})?)?",
    re.ASCII,
)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


def path_id(request: HTTPConnection, name: str) -> str:
    """An id from the path; one that can't be an id is as missing as one that doesn't exist."""
    value = str(request.path_params[name])
    if not ID_PATTERN.fullmatch(value):
        raise NotFoundError("There is no such object")
    return value


def only(request: HTTPConnection, allowed: Collection[str], repeatable: Collection[str] = ()) -> None:
    """Refuse query parameters that the endpoint doesn't have, and any that comes twice but isn't to be repeated."""
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in allowed:
            raise InvalidInputError(
                f"There is no query parameter '{name[:50]}' here",
                details={"field": name[:50], "allowed": sorted(allowed)},
            )
        if name in seen and name not in repeatable:
            raise InvalidInputError(
                f"The query parameter '{name}' is given twice", details={"field": name, "allowed": "once"}
            )
        seen.add(name)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter."""

    name: str
    description: str

    @property
    def repeats(self) -> bool:
        """Whether it may be given more than once."""
        return False

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        return {"type": "string"}

    def text(self, request: Request) -> str | None:
        """The raw value; None when it wasn't given."""
        return request.query_params.get(self.name)

    def refuse(self, message: str, **details: object) -> InvalidInputError:
        """The error for a value that isn't allowed."""
        return InvalidInputError(f"{self.name} {message}", details={"field": self.name, **details})


@dataclass(frozen=True, slots=True)
class Integer(Parameter):
    """A whole number within bounds."""

    minimum: int
    maximum: int
    default: int | None = None

    def schema(self) -> dict[str, Any]:
        """What it takes, as the OpenAPI document says it."""
        found: dict[str, Any] = {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}
        if self.default is not None:
            found["default"] = self.default
        return found

    def read(self, request: Request) -> int | None:
        """The value, or the default."""
        text = self.text(request)
        if text is None:
            return self.default
        if not _INTEGER.fullmatch(text) or not self.minimum <= int(text) <= self.maximum:
            raise self.refuse(
                f"must be a whole number from {self.minimum} to {self.maximum}",
                minimum=self.minimum,
                maximum=self.maximum,
            )
        return int(text)


@dataclass(frozen=True, slots=True)
class Choice(Parameter):
    """One of a few words."""

    allowed: tuple[str, ...]
    default: str | None = None

    def schema(self) -> dict[str, Any]:
        """What it takes, as the OpenAPI document says it."""
        found: dict[str, Any] = {"type": "string", "enum": list(map(str, self.allowed))}
        if self.default is not None:
            found["default"] = self.default
        return found

    def read(self, request: Request) -> str | None:
        """The value, or the default."""
        text = self.text(request)
        if text is None:
            return self.default
        if text not in self.allowed:
            raise self.refuse(f"must be one of: {', '.join(self.allowed)}", allowed=list(self.allowed))
        return text


@dataclass(frozen=True, slots=True)
class Text(Parameter):
    """Free text, such as a name."""

    max_length: int = 200

    def schema(self) -> dict[str, Any]:
        """What it takes, as the OpenAPI document says it."""
        return {"type": "string", "maxLength": self.max_length}

    def read(self, request: Request) -> str | None:
        """The value; None when it wasn't given."""
        text = self.text(request)
        if text is not None and ("\0" in text or len(text) > self.max_length):
            raise self.refuse(
                f"must have at most {self.max_length} characters and no NUL", max_length=self.max_length
            )
        return text


@dataclass(frozen=True, slots=True)
class LabelFilter(Parameter):
    """Labels, each as ``key:value``."""

    @property
    def repeats(self) -> bool:
        """Once for each label."""
        return True

    def schema(self) -> dict[str, Any]:
        """What it takes, as the OpenAPI document says it."""
        label = {"type": "string", "pattern": f"^{KEY_PATTERN}:{VALUE_PATTERN}$"}
        return {"type": "array", "items": label, "maxItems": MAX_LABELS}

    def read(self, request: Request) -> list[tuple[str, str]]:
        """Key and value of each."""
        texts = request.query_params.getlist(self.name)
        if len(texts) > MAX_LABELS:
            raise self.refuse(f"is given {len(texts)} times; {MAX_LABELS} are allowed", maximum=MAX_LABELS)
        labels = [label for text in texts if (label := read_label(text)) is not None]
        if len(labels) < len(texts):
            allowed = f"{KEY_PATTERN}:{VALUE_PATTERN}"
            raise self.refuse("must be a label's key:value, such as team:video", allowed=allowed)
        return labels


@dataclass(frozen=True, slots=True)
class Moment(Parameter):
    """An ISO 8601 time; without a zone it is UTC."""

    def schema(self) -> dict[str, Any]:
        """What it takes, as the OpenAPI document says it."""
        return {"type": "string", "format": "date-time"}

    def read(self, request: Request) -> datetime | None:
        """The time in UTC; None when it wasn't given."""
        text = self.text(request)
        if text is None:
            return None
        found = _MOMENT.fullmatch(text.upper())
        try:
            if found is None:
                raise ValueError(text)
            day, time, zone = found.groups("")
            # A plus sign that wasn't escaped arrives as a space.
            at = datetime.fromisoformat(f"{day}T{time or '00:00'}{zone.replace(' ', '+')}")
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        except (ValueError, OverflowError) as exc:
            raise self.refuse("must be an ISO 8601 time such as 2025-10-27T12:00:00Z", allowed="ISO 8601") from exc


@dataclass(frozen=True, slots=True)
class Day(Parameter):
    """An ISO 8601 date, which must be given."""

    required: bool = True

    def schema(self) -> dict[str, Any]:
        """What it takes, as the OpenAPI document says it."""
        return {"type": "string", "format": "date"}

    def read(self, request: Request) -> date:
        """The date.

        Raises:
            InvalidInputError: It is missing, or no date.
        """
        text = self.text(request)
        if text is None:
            raise self.refuse("is required: a date such as 2025-10-27", allowed="YYYY-MM-DD")
        try:
            if _DAY.fullmatch(text):
                return date.fromisoformat(text)
        except ValueError:
            pass
        raise self.refuse("must be a date such as 2025-10-27", allowed="YYYY-MM-DD")
