"""When a workload will start and end, as far as its customer's own past tells.

Nothing here looks at other customers: an estimate must not tell how much they have waiting. Where there is nothing to
estimate from, there is no estimate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

__all__ = ["Accuracy", "ServiceRate", "TrackRecord", "estimated_completion", "estimated_start", "start_range"]

_FURTHEST = timedelta(days=30)
"""An estimate further away than this says nothing."""
_TRUSTED_PERCENT = 50.0
"""From here on progress alone tells the rest; before, the type's past has its share."""
_LATE = 0.9
"""The share of workloads that start, or end, by the later of two times."""
_LATE_SIGMAS = 1.2816
"""The same in standard deviations of a normal distribution."""
_PROVEN = 5
"""Estimates whose outcome is known, from which on these tell the range of the next."""


class ServiceRate:
    """How fast one customer's queue is served while something waits in it, from a counter that is read now and then.

    Time in which nothing waited says nothing about how fast what waits is served, and doesn't count.

    Args:
        window_seconds: How far back to look, in seconds that count.
    """

    def __init__(self, window_seconds: float = 300.0) -> None:
        self._window_seconds = window_seconds
        self._last: tuple[float, int, bool] | None = None
        self._samples: deque[tuple[float, int]] = deque([(0.0, 0)])
        """Seconds that counted, and assignments made in them, so far."""

    def __len__(self) -> int:
        """Samples kept."""
        return len(self._samples)

    def note(self, at_seconds: float, assigned: int, *, waiting: bool = True) -> None:
        """Note the counter's value.

        Args:
            at_seconds: On a monotonic clock.
            assigned: Assignments ever made of the customer's workloads; one that fell begins anew.
            waiting: Whether something waits in the queue at this moment.
        """
        last, self._last = self._last, (at_seconds, assigned, waiting)
        if last is None or assigned < last[1]:
            self._samples = deque([(0.0, 0)])
            return
        if not (waiting and last[2]):
            return
        samples = self._samples
        seconds, served = samples[-1][0] + at_seconds - last[0], samples[-1][1] + assigned - last[1]
        # While nothing changes, only the first and the last moment of it are kept.
        if len(samples) >= 2 and samples[-1][1] == served == samples[-2][1]:
            samples.pop()
        samples.append((seconds, served))
        while len(samples) > 2 and samples[1][0] <= seconds - self._window_seconds:
            samples.popleft()

    @property
    def per_second(self) -> float | None:
        """Assignments a second over the window; None when none was made in it, or it has only begun."""
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        if ended <= began or last <= first:
            return None
        return (last - first) / (ended - began)


class Accuracy(NamedTuple):
    """How wrong estimates of a start were of late: the waits that were, as multiples of those that were estimated."""

    samples: int
    median: float
    """1.0: right in the middle; 2.0: it took twice as long."""
    late: float
    """Nine of ten took no longer than this."""


class TrackRecord:
    """Keeps what became of estimates for one customer's queue, from the counters that are read now and then.

    Every few seconds it notes when the last workload in the queue should start, and sees later when as many had
    been assigned. What comes in meanwhile with a higher priority makes such an estimate wrong, as it does any other.

    Args:
        every_seconds: Between two estimates that are followed.
        most: Of the outcomes, and of the estimates under way, that are kept.
    """

    def __init__(self, every_seconds: float = 5.0, most: int = 50) -> None:
        self._every_seconds = every_seconds
        self._under_way: deque[tuple[float, int, float]] = deque(maxlen=most)
        """When it was made, the counter's value that fulfils it, and how many seconds were estimated."""
        self._ratios: deque[float] = deque(maxlen=most)
        self._assigned = 0

    def note(self, at_seconds: float, assigned: int, queued: int, per_second: float | None) -> None:
        """Note the counters' values.

        Args:
            at_seconds: On a monotonic clock.
            assigned: Assignments ever made of the customer's workloads; one that fell begins anew.
            queued: How many wait.
            per_second: How fast they are served, from `ServiceRate`.
        """
        under_way = self._under_way
        if assigned < self._assigned:
            under_way.clear()
        self._assigned = assigned
        while under_way and under_way[0][1] <= assigned:
            made_at, _, seconds = under_way.popleft()
            self._ratios.append((at_seconds - made_at) / seconds)
        if queued <= 0:
            under_way.clear()  # the rest was cancelled
        elif per_second and (not under_way or at_seconds - under_way[-1][0] >= self._every_seconds):
            # Targets rise, so that the first is the next to be reached.
            target = assigned + queued
            while under_way and under_way[-1][1] > target:
                under_way.pop()
            under_way.append((at_seconds, target, queued / per_second))

    @property
    def accuracy(self) -> Accuracy | None:
        """None while no outcome is known."""
        if not self._ratios:
            return None
        ordered = sorted(self._ratios)
        late = ordered[min(len(ordered) - 1, int(_LATE * len(ordered)))]
        return Accuracy(len(ordered), median(ordered), late)


def start_range(
    now: datetime, estimate: datetime, ahead: int, accuracy: Accuracy | None
) -> tuple[datetime, datetime]:
    """By when half of such workloads start, and by when nine of ten do.

    By what became of the last estimates; while too few are known, as if slots came free at random.

    Args:
        now: The present.
        estimate: From `estimated_start`.
        ahead: As it took.
        accuracy: Of the customer's last estimates.
    """
    seconds = max(0.0, (estimate - now).total_seconds())
    if accuracy is not None and accuracy.samples >= _PROVEN:
        return now + timedelta(seconds=seconds * accuracy.median), now + timedelta(seconds=seconds * accuracy.late)
    # Source: Wilson and Hilferty 1931, for the sum of so many times between two slots that come free.
    count = max(0, ahead) + 1
    half, late = ((1 - 1 / (9 * count) + sigmas / (3 * count**0.5)) ** 3 for sigmas in (0.0, _LATE_SIGMAS))
    return now + timedelta(seconds=seconds * half), now + timedelta(seconds=seconds * late)


def estimated_start(now: datetime, ahead: int, per_second: float | None, *, may_run: bool) -> datetime | None:
    """When a workload that is queued now will start.

    Args:
        now: The present.
        ahead: How many of the customer's own workloads go before it.
        per_second: How fast the customer's queue is served, from `ServiceRate`.
        may_run: The customer may run more, and a worker serves the type. Whether that worker is busy with others'
            work isn't asked: the answer would tell of them.

    Returns:
        None when it can't run at once and nothing of the customer's was served lately; or when it is too far away.
    """
    if ahead <= 0 and may_run:
        return now
    if per_second is None or per_second <= 0:
        return None
    seconds = (max(0, ahead) + 1) / per_second
    return now + timedelta(seconds=seconds) if seconds <= _FURTHEST.total_seconds() else None


def estimated_completion(
    now: datetime,
    began_at: datetime,
    progress_percent: float,
    recent_seconds: Sequence[float],
    *,
    late: bool = False,
) -> datetime | None:
    """When a running workload will complete.

    From its progress so far, and from how long its customer's workloads of the type took lately: the more progress,
    the more that alone counts. Of the past only durations longer than what has passed already count.

    Args:
        now: The present.
        began_at: When the work began that the progress is of: the attempt's start, or the first start for an attempt
            that went on from a checkpoint.
        progress_percent: 0 to 100.
        recent_seconds: Durations of the customer's last completed workloads of the type.
        late: Of these, as the longest but one in ten took, and not as the one in the middle did.

    Returns:
        None when there is neither progress nor a longer duration in the past, or when it is too far away.
    """
    elapsed = max(0.0, (now - began_at).total_seconds())
    by_progress = _by_progress(elapsed, progress_percent)
    by_past = _by_past(elapsed, recent_seconds, late=late)
    if by_progress is not None and by_past is not None:
        share = min(1.0, progress_percent / _TRUSTED_PERCENT)
        remaining = share * by_progress + (1 - share) * by_past
    elif by_progress is not None:
        remaining = by_progress
    elif by_past is not None:
        remaining = by_past
    else:
        return None
    return now + timedelta(seconds=remaining) if remaining <= _FURTHEST.total_seconds() else None


def _by_progress(elapsed: float, progress: float) -> float | None:
    if progress >= 100:
        return 0.0
    return elapsed * (100 - progress) / progress if progress > 0 and elapsed > 0 else None


def _by_past(elapsed: float, recent_seconds: Sequence[float], *, late: bool) -> float | None:
    longer = sorted(seconds for seconds in recent_seconds if seconds > elapsed)
    if not longer:
        return None
    usual = longer[min(len(longer) - 1, int(_LATE * len(longer)))] if late else median(longer)
    return usual - elapsed
