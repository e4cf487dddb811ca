"""What failures have in common: an error's message without what differs from one time to the next (ADR 0033)."""

from __future__ import annotations

import hashlib
import re

__all__ = ["MESSAGE_LENGTH", "fingerprint", "pattern_of"]

MESSAGE_LENGTH = 1000
"""Characters of a message that count; the rest is mostly what differs."""

_VARIES = (
    (re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s'\"<>]+", re.ASCII | re.IGNORECASE), "<address>"),
    (re.compile(r"(?<![\w.@+-])[\w.+-]{1,64}@[\w.-]{1,255}", re.ASCII), "<address>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", re.ASCII), "<address>"),
    (re.compile(r"\[[0-9a-f:.]*:[0-9a-f:.]*\](?::\d+)?", re.ASCII | re.IGNORECASE), "<address>"),
    (re.compile(r"(?<![\w.<])(?:[a-z]:|~|\.{1,2})?[/\\][^\s'\"<>|,;()\[\]]+", re.ASCII | re.IGNORECASE), "<path>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.ASCII | re.IGNORECASE), "<id>"),
    (re.compile(r"\b(?=[0-9a-f-]*\d)(?=[0-9-]*[a-f])[0-9a-f-]{8,}\b", re.ASCII | re.IGNORECASE), "<id>"),
    (re.compile(r"\b(?=(?:[a-z_-]*\d){3})(?=[\d_-]*[a-z])[\w-]{8,}\b", re.ASCII | re.IGNORECASE), "<id>"),
    (re.compile(r"\d+(?:[.,:_]\d+)*", re.ASCII), "<n>"),
    (re.compile(r"\s+"), " "),
)
"""In this order: what is more particular first. Each is linear in the message."""


def pattern_of(message: str) -> str:
    """The message with ``<n>``, ``<id>``, ``<path>`` and ``<address>`` in place of these.

    What kind of error it is stays, as in ``ValueError: frame <n> of <path> is broken``: messages begin with it.
    """
    pattern = message[:MESSAGE_LENGTH]
    for varies, name in _VARIES:
        pattern = varies.sub(name, pattern)
    return pattern.strip()


def fingerprint(message: str) -> str:
    """Names all failures with this pattern, in 16 hexadecimal digits. Kept in the database: it may not change."""
    return hashlib.sha256(pattern_of(message).encode()).hexdigest()[:16]
