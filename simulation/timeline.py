"""Virtual time: things happen when it is their turn, and nothing waits."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

__all__ = ["Timeline"]


class Timeline:
    """Runs functions at moments, in order; equal moments in the order in which they were asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Callable[[], object]]] = []

    def at(self, moment: float, do: Callable[[], object]) -> None:
        """Do something at a moment that isn't past."""
        heapq.heappush(self._due, (max(moment, self.now), next(self._numbers), do))

    def after(self, seconds: float, do: Callable[[], object]) -> None:
        """Do something in a while."""
        self.at(self.now + seconds, do)

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._due and self._due[0][0] <= until:
            self.now, _, do = heapq.heappop(self._due)
            do()
        self.now = until
