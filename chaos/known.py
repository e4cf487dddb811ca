"""Defects that runs have found and that aren't mended yet, so that new ones stand out.

An entry goes when its defect does. A run fails on them too, unless it is told to excuse them (`--excuse-known`), as
the short run among the tests is.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["KNOWN"]

KNOWN: Mapping[str, str] = {
    "two attempts of an exclusive type ran at once, its worker having been removed": (
        "the removal of a worker gives its exclusive workloads to others before it has stopped them"
    ),
    "a workload ended more than three agents, of which some counted as not answering": (
        "an assignment that its dead worker never answered is taken back without counting as a death, when that "
        "comes before the end of the lease"
    ),
}
"""By what the violation says: why it happens."""
