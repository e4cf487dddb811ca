"""Which workers are given nothing for a while: those that refused, and slots that ended attempts still hold.

A worker that refuses an assignment rests, twice as long each time, until it hasn't refused for a while. Slots that it
says are held by attempts which are no longer its count as taken until it says otherwise, or the moment has come up to
which it is believed.

Moments are seconds on one monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Refusals"]

_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 8.0
_FORGOTTEN_SECONDS = 30.0


@dataclass(slots=True)
class _Rest:
    until: float
    seconds: float


class Refusals:
    """What each worker has refused, and how many of its slots it can't give."""

    def __init__(self) -> None:
        self._rests: dict[str, _Rest] = {}
        self._lingering: dict[str, float] = {}

    def refused(self, worker_id: str, now: float) -> None:
        """The worker refused an assignment; one that refuses many at once has refused once."""
        rest = self._rests.get(worker_id)
        if rest is None or now - rest.until > _FORGOTTEN_SECONDS:
            rest = self._rests[worker_id] = _Rest(0.0, _FIRST_SECONDS / 2)
        if now >= rest.until:
            rest.seconds = min(_LONGEST_SECONDS, rest.seconds * 2)
            rest.until = now + rest.seconds

    def is_resting(self, worker_id: str, now: float) -> bool:
        """Whether the worker is to be given nothing at the moment."""
        rest = self._rests.get(worker_id)
        return rest is not None and now < rest.until

    def lingers(self, worker_id: str, until: float) -> None:
        """Ended attempts hold slots of the worker's; believed until the moment."""
        self._lingering[worker_id] = until

    def over(self, now: float) -> tuple[list[str], list[str]]:
        """Workers that have rested, and those whose word on their slots is no longer believed.

        The first are named until their refusals are forgotten, the second once.
        """
        rested = [worker_id for worker_id, rest in self._rests.items() if now >= rest.until]
        for worker_id in [w for w in rested if now - self._rests[w].until > _FORGOTTEN_SECONDS]:
            del self._rests[worker_id]
        free = [worker_id for worker_id, until in self._lingering.items() if now >= until]
        for worker_id in free:
            del self._lingering[worker_id]
        return rested, free
