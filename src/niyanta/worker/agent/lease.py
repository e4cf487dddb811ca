"""How long a worker may go on without a word of the service.

The lease is measured on the monotonic clock from the *send* of the last answered beat, so that a slow answer shortens
the trust and never lengthens it. Attempts of exclusive types must have ended before the service may give their
workload to another, and the answer "go on, I can't record it now" doesn't prolong that: what isn't recorded, others
don't see. All other attempts go on much longer, as their results are fenced should they be late.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Lease"]

CUT_OFF_SECONDS = 75.0
"""Without an answer for so long, a worker stops all that it runs. An outage of a minute ends within it: the last
answer was up to an interval older than the outage, and links take seconds to be there again."""
EXCLUSIVE_SHARE = 0.7
"""Of the lease: when attempts of exclusive types stop."""


class Lease:
    """The time for which a worker believes that it is believed.

    Attributes:
        seconds: What the service said at the registration.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.seconds = 10.0
        self._heard_at = self._recorded_at = clock()

    def answered(self, sent: float, *, recorded: bool) -> None:
        """A beat has been answered.

        Args:
            sent: When the beat went out, by the clock.
            recorded: Whether the service has recorded it.
        """
        self._heard_at = sent
        if recorded:
            self._recorded_at = sent

    @property
    def left_seconds(self) -> float:
        """Until all attempts must stop."""
        return CUT_OFF_SECONDS - (self._clock() - self._heard_at)

    @property
    def exclusive_left_seconds(self) -> float:
        """Until those of exclusive types must."""
        return self.seconds * EXCLUSIVE_SHARE - (self._clock() - self._recorded_at)
