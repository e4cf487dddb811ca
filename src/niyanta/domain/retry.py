"""How long a failed attempt waits before the next."""

from __future__ import annotations

__all__ = ["backoff_seconds"]


def backoff_seconds(failures: int, chance: float, *, first: float = 1.0, longest: float = 60.0) -> float:
    """Exponential back-off with full jitter.

    Args:
        failures: How often the workload has failed by itself, this time included (1 or more).
        chance: A random number in [0, 1).
        first: Upper bound after the first failure, seconds; doubles each time.
        longest: Upper bound whatever the count, seconds.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    if failures < 1:
        raise ValueError("failures counts from 1")
    bound = min(longest, first * 2.0 ** min(failures - 1, 60))
    return bound * chance
