"""Durations and moments on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

__all__ = ["age", "parse_duration", "parse_since"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> timedelta:
    """``90s``, ``15m``, ``12h``, ``90d``.

    Raises:
        click.BadParameter: It isn't of this form.
    """
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if match is None:
        raise click.BadParameter(f"'{text}' must look like 90s, 15m, 12h or 90d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def parse_since(text: str, now: datetime, option: str = "--since") -> datetime:
    """How long ago (``15m``), or a moment as in ``2025-10-27T12:34:56``; UTC unless it says otherwise.

    Raises:
        click.BadParameter: It is neither; tells the option.
    """
    if re.fullmatch(r"[0-9]+[a-z]", text):
        return now - parse_duration(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError as exc:
        raise click.BadParameter(
            f"'{text}' must look like 15m, 2025-10-27 or 2025-10-27T12:34:56Z", param_hint=option
        ) from exc
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def age(at: datetime | None, now: datetime) -> str:
    """How long ago, in the largest unit that says enough: ``45s``, ``12m``, ``30h``, ``5d``; nothing for None."""
    if at is None:
        return ""
    seconds = max(0, int((now - at).total_seconds()))
    for unit, most in (("s", 120), ("m", 120), ("h", 48)):
        if seconds // _UNITS[unit] < most:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds // _UNITS['d']}d"
