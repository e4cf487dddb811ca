"""Labels: what customers mark their workloads with, to find them again (ADR 0033)."""

from __future__ import annotations

import re

from niyanta.domain.limits import MAX_LABEL_LENGTH

__all__ = ["FINGERPRINT_KEY", "KEY_PATTERN", "VALUE_PATTERN", "is_key", "is_value", "read_label"]

KEY_PATTERN = rf"[A-Za-z0-9]([A-Za-z0-9_./-]{{0,{MAX_LABEL_LENGTH - 2}}}[A-Za-z0-9])?"
"""A label's key, as a whole."""
VALUE_PATTERN = rf"([A-Za-z0-9]([A-Za-z0-9_./-]{{0,{MAX_LABEL_LENGTH - 2}}}[A-Za-z0-9])?)?"
"""The same, or nothing."""
FINGERPRINT_KEY = ""
"""No label has it: under this the fingerprint of its error stands beside the labels of a workload that FAILED."""
_KEY = re.compile(KEY_PATTERN, re.ASCII)
_VALUE = re.compile(VALUE_PATTERN, re.ASCII)


def is_key(text: str) -> bool:
    """Whether a label may have this key."""
    return _KEY.fullmatch(text) is not None


def is_value(text: str) -> bool:
    """Whether a label may have this value."""
    return _VALUE.fullmatch(text) is not None


def read_label(text: str) -> tuple[str, str] | None:
    """Key and value of ``key:value``; None for what isn't a label."""
    key, colon, value = text.partition(":")
    return (key, value) if colon and is_key(key) and is_value(value) else None
