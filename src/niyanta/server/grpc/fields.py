"""Checks of single fields of a request, in the words that REST has for its parameters."""

from __future__ import annotations

from niyanta.errors import InvalidInputError

__all__ = ["choice", "text", "whole"]


def whole(name: str, value: int, minimum: int, maximum: int) -> int:
    """A number within bounds."""
    if not minimum <= value <= maximum:
        raise InvalidInputError(
            f"{name} must be a whole number from {minimum} to {maximum}",
            details={"field": name, "minimum": minimum, "maximum": maximum},
        )
    return value


def choice(name: str, value: str, allowed: tuple[str, ...]) -> str | None:
    """One of a few words; None when it is unset."""
    if value and value not in allowed:
        raise InvalidInputError(
            f"{name} must be one of: {', '.join(allowed)}", details={"field": name, "allowed": list(allowed)}
        )
    return value or None


def text(name: str, value: str, max_length: int) -> str | None:
    """Free text; None when it is unset."""
    if "\0" in value or len(value) > max_length:
        raise InvalidInputError(
            f"{name} must have at most {max_length} characters and no NUL",
            details={"field": name, "max_length": max_length},
        )
    return value or None
