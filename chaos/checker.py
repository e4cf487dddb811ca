"""Reads a history and says which promises it breaks, each with the least of the history that shows it.

Each check takes the whole `History` and gives `Violation`s. Most look at one workload at a time, in the order of its
versions, so that a check costs time in proportion to the history.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaos.checks import acceptance, attempts, limits, moves, restarts, streams
from chaos.history import History, Violation

__all__ = ["check"]


def check(history: History) -> list[Violation]:
    """Everything that is wrong with a history."""
    return list(_all(history))


def _all(history: History) -> Iterator[Violation]:
    for room in (acceptance, moves, attempts, restarts, streams, limits):
        for each in room.CHECKS:
            yield from each(history)
