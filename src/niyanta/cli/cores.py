"""How many processes a coordinator is to be."""

from __future__ import annotations

import math
import os
from pathlib import Path

import click

from niyanta.domain.limits import MAX_COORDINATOR_PROCESSES

__all__ = ["process_count", "usable_cores"]

_CPU_BOUND = Path("/sys/fs/cgroup/cpu.max")
"""Of a container: ``max 100000``, or microseconds in such a period."""


def process_count(_: click.Context, __: click.Parameter, value: str) -> int:
    """The number that an option means.

    Raises:
        BadParameter: It means none.
    """
    text = value.strip()
    if text == "auto":
        return min(usable_cores(), MAX_COORDINATOR_PROCESSES)
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MAX_COORDINATOR_PROCESSES:
        raise click.BadParameter(f"{value!r} is neither a number from 1 to {MAX_COORDINATOR_PROCESSES} nor 'auto'.")
    return int(text)


def usable_cores(bound: Path = _CPU_BOUND) -> int:
    """The cores that this process may use, also where its container may use less than the machine has."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = bound.read_text().split()
        return max(1, min(cores, math.floor(int(quota) / int(period))))
    except (OSError, ValueError):  # no such bound
        return cores
