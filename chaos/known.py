"""Defects that runs have found and that aren't mended yet, so that new ones stand out.

An entry goes when its defect does. A run fails on them too, unless it is told to excuse them (`--excuse-known`), as
the short run among the tests is.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["KNOWN"]

KNOWN: Mapping[str, str] = {}
"""By what the violation says: why it happens."""
