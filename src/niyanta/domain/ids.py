"""Ids: the contract's prefix and a ULID (48 bits of Unix milliseconds, 80 random bits, Crockford base 32).

Sorting ids as ASCII text sorts by time of creation; source: https://github.com/ulid/spec.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime

__all__ = ["CUSTOMER_ID_PATTERN", "ID_PATTERN", "WORKLOAD_TYPE_PATTERN", "made_at", "make_id", "milliseconds_of"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
"""Two letters at a time: an id is made for every request."""
_ULID = re.compile(f"[{_ALPHABET}]{{26}}")
_TO_BASE_32 = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
"""From our letters to those that `int` reads."""

CUSTOMER_ID_PATTERN = re.compile(r"cust_[A-Za-z0-9][A-Za-z0-9_-]{0,58}")
"""A customer id, to be used with ``fullmatch``."""

ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
"""What any id looks like, to be used with ``fullmatch``; what doesn't fit is the id of nothing."""

WORKLOAD_TYPE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""A workload type's name, to be used with ``fullmatch``."""


def make_id(prefix: str, unix_ms: int, random_bits: int) -> str:
    """Spell an id.

    Args:
        prefix: ``wl_``, ``wlcfg_``, ``req_``, ``key_``.
        unix_ms: Time of creation, Unix milliseconds.
        random_bits: 80 random bits.
    """
    low = random_bits & 0xFF_FFFF_FFFF
    high = (random_bits >> 40) & 0xFF_FFFF_FFFF
    return f"{prefix}{_spelled_time(unix_ms)}{_spelled(high)}{_spelled(low)}"


def _spelled(bits: int) -> str:
    """Forty bits in eight letters."""
    return f"{_PAIRS[bits >> 30]}{_PAIRS[(bits >> 20) & 1023]}{_PAIRS[(bits >> 10) & 1023]}{_PAIRS[bits & 1023]}"


@functools.lru_cache(maxsize=8)
def _spelled_time(unix_ms: int) -> str:
    """Fifty bits in ten letters; many ids are made in one millisecond."""
    return _PAIRS[(unix_ms >> 40) & 1023] + _spelled(unix_ms & 0xFF_FFFF_FFFF)


def milliseconds_of(identifier: str) -> int | None:
    """Unix milliseconds at which an id was made; None when it isn't one of ours."""
    text = identifier.rpartition("_")[2]
    return int(text[:10].translate(_TO_BASE_32), 32) if _ULID.fullmatch(text) else None


def made_at(identifier: str) -> datetime | None:
    """When an id was made, to the millisecond; None when it isn't one of ours, or beyond the calendar."""
    made_ms = milliseconds_of(identifier)
    try:
        return None if made_ms is None else datetime.fromtimestamp(made_ms / 1000, UTC)
    except (OverflowError, ValueError):
        return None
