"""Which customers have a label of their own: as many as is set, the busiest of the hour before."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

__all__ = ["OTHER", "Busiest"]

OTHER = "other"
_TURN_SECONDS = 3600.0


class Busiest:
    """Gives labels. Whoever comes while there is room has one at once; each hour the busiest have them.

    Args:
        most: Labels besides ``other``; with 0 all are ``other``.
        dropped: Called with each label that isn't given any more: what was counted under it should go.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, most: int, dropped: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._dropped = dropped
        self._clock = clock
        self._labels: set[str] = set()
        self._seen: Counter[str] = Counter()
        self._turn_at = clock() + _TURN_SECONDS

    def label(self, customer_id: str) -> str:
        """The customer's label for what is counted now."""
        if self._clock() >= self._turn_at:
            self._turn()
        self._seen[customer_id] += 1
        if customer_id in self._labels:
            return customer_id
        if len(self._labels) < self._most:
            self._labels.add(customer_id)
            return customer_id
        return OTHER

    def _turn(self) -> None:
        self._turn_at = self._clock() + _TURN_SECONDS
        if len(self._seen) > self._most:
            # Among those that are as busy, whoever has a label keeps it.
            ranked = sorted(self._seen, key=lambda each: (-self._seen[each], each not in self._labels, each))
            busiest = set(ranked[: self._most])
            for label in self._labels - busiest:
                self._dropped(label)
            self._labels = busiest
        self._seen.clear()
