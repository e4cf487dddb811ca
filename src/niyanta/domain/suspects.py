"""Workloads that may be what ends their workers, and how they are tried.

A workload that has lost two workers in a row is a suspect. Suspects are tried one to a worker, and on no more than a
quarter of the fleet at a time, so that they can't take it down at once, however many there are.

What is behind them doesn't wait for them: a lane with suspects that couldn't be tried is read without them, until a
slot has come free, a trial is over, or the fleet has changed.

Moments are seconds on one monotonic clock.
"""

from __future__ import annotations

from collections import deque

from niyanta.domain.bays import Lane
from niyanta.domain.workload import Key

__all__ = ["Suspects"]

_MOST_RETURNED = 16
"""Lanes that are read with their suspects again, each time."""


class Suspects:
    """Who is on trial where, and which lanes skip their suspects.

    Args:
        trial_seconds: How long a suspect is on trial after its assignment.
    """

    def __init__(self, trial_seconds: float) -> None:
        self._trial_seconds = trial_seconds
        self._trials: dict[Key, tuple[str, float]] = {}
        self._skipping: deque[Lane] = deque()
        self._due = 0
        """How many of these are to be read with their suspects again."""

    def may_try(self, workers: int) -> bool:
        """Whether another may be tried in a fleet of so many."""
        return len(self._trials) < max(1, workers // 4)

    @property
    def busy_workers(self) -> set[str]:
        """Workers on which one is on trial."""
        return {worker_id for worker_id, _ in self._trials.values()}

    def try_on(self, key: Key, worker_id: str, now: float) -> None:
        """A suspect's trial begins."""
        self._trials[key] = (worker_id, now + self._trial_seconds)

    def ended(self, key: Key) -> None:
        """The workload has let go of its slot, or didn't get it."""
        self._trials.pop(key, None)
        self.retry()

    def tick(self, now: float) -> None:
        """Time has passed: those that have run for long enough are like any other."""
        for key in [key for key, (_, until) in self._trials.items() if now >= until]:
            self.ended(key)

    def skip(self, lane: Lane) -> None:
        """Read the lane without its suspects: there is no room for them."""
        if not lane.skips_suspects:
            lane.skips_suspects = True
            self._skipping.append(lane)

    def retry(self) -> None:
        """There may be room by now."""
        self._due = len(self._skipping)

    def returned(self) -> list[Lane]:
        """Lanes that are to be read with their suspects again: some now, the others the next time."""
        lanes = [self._skipping.popleft() for _ in range(min(self._due, _MOST_RETURNED))]
        self._due -= len(lanes)
        for lane in lanes:
            lane.skips_suspects = False
        return [lane for lane in lanes if not lane.gone]
