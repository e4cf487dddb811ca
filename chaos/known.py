"""Defects that runs have found and that aren't mended yet. They are reported apart, and fail no run.

An entry goes when its defect does. Nothing else may be excused here.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["KNOWN"]

KNOWN: Mapping[str, str] = {
    "one generation was run twice": (
        "an agent starts an assignment that is pushed again although its attempt has ended already, when the word of "
        "that hasn't been acknowledged yet"
    ),
}
"""By what the violation says: why it happens."""
