"""How much is logged of one thing: whoever can cause a line can cause it again, and must not fill the disk with it.

Each event has a bucket for each party that it is about, and one for all of them together. So of somebody who floods
a few lines are seen, and others' lines are still heard beside them. The next line that is let through says how many
were left out before it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["LineBounds"]

_PARTIES = ("worker_id", "customer_id", "actor_id", "source")
"""Facts that say whom a line is about; the first that it has counts."""
_MOST_BUCKETS = 5_000
_REFILL_SECONDS = 20.0


@dataclass(slots=True)
class _Bucket:
    level: float
    filled_at: float
    left_out: int = 0

    def take(self, now: float, most: int) -> bool:
        self.level = min(most, self.level + (now - self.filled_at) * most / _REFILL_SECONDS)
        self.filled_at = now
        if self.level < 1:
            self.left_out += 1
            return False
        self.level -= 1
        return True


class LineBounds(logging.Filter):
    """A filter for a handler. What is logged for debugging isn't bounded.

    Args:
        of_one: Lines of one event about one party, at once after a rest; then as many in twenty seconds.
        of_all: The same of one event about anybody.
        clock: Monotonic seconds.
    """

    def __init__(self, of_one: int = 20, of_all: int = 200, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._of_one = of_one
        self._of_all = of_all
        self._clock = clock
        self._buckets: dict[tuple[str, str | None], _Bucket] = {}

    def __len__(self) -> int:
        """How many parties and events are remembered."""
        return len(self._buckets)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is let through; it gets ``left_out`` when others before it weren't."""
        if record.levelno < logging.INFO:
            return True
        event = str(record.msg)[:200]
        party = next((str(each)[:200] for name in _PARTIES if (each := record.__dict__.get(name))), "")
        one, everybody = self._bucket((event, party), self._of_one), self._bucket((event, None), self._of_all)
        now = self._clock()
        if not (one.take(now, self._of_one) and everybody.take(now, self._of_all)):
            return False
        if left_out := one.left_out + everybody.left_out:
            one.left_out = everybody.left_out = 0
            record.left_out = left_out
        return True

    def _bucket(self, key: tuple[str, str | None], most: int) -> _Bucket:
        found = self._buckets.pop(key, None) or _Bucket(most, self._clock())
        if len(self._buckets) >= _MOST_BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[key] = found
        return found
