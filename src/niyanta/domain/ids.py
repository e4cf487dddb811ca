"""Ids: the contract's prefix and a ULID (48 bits of Unix milliseconds, 80 random bits, Crockford base 32).

Sorting ids as ASCII text sorts by time of creation; source: https://github.com/ulid/spec.
"""

from __future__ import annotations

import re

__all__ = ["CUSTOMER_ID_PATTERN", "ID_PATTERN", "WORKLOAD_TYPE_PATTERN", "make_id", "milliseconds_of"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
"""Two letters at a time: an id is made for every request."""
_SHIFTS = tuple(range(120, -1, -10))
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}

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
    number = (unix_ms << 80) | (random_bits & ((1 << 80) - 1))
    return prefix + "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])


def milliseconds_of(identifier: str) -> int | None:
    """Unix milliseconds at which an id was made; None when it isn't one of ours."""
    text = identifier.rpartition("_")[2]
    if len(text) != 26 or any(letter not in _VALUES for letter in text):
        return None
    number = 0
    for letter in text[:10]:
        number = number * 32 + _VALUES[letter]
    return number
