"""Steps the wall clock of a program while it runs, as an operator or a time service does.

Python imports this by itself in each program that has this folder on its ``PYTHONPATH``. By how many seconds the
clock is wrong stands in the file that ``CHAOS_CLOCK`` names, and may change at any time; the monotonic clock goes on
as it is. What asks the operating system past `time.time` (``datetime.now`` does) still hears the right time.
"""

from __future__ import annotations

import os
import time

_LOOK_SECONDS = 0.05


def _step_by(path: str) -> None:
    right, right_ns = time.time, time.time_ns
    wrong_by, looked_at = 0.0, float("-inf")

    def offset() -> float:
        nonlocal wrong_by, looked_at
        now = time.monotonic()
        if now - looked_at > _LOOK_SECONDS:
            looked_at = now
            try:
                with open(path, encoding="ascii") as file:
                    wrong_by = float(file.read())
            except (OSError, ValueError):  # not there, or being written
                pass
        return wrong_by

    time.time = lambda: right() + offset()
    time.time_ns = lambda: right_ns() + round(offset() * 1_000_000_000)


if "CHAOS_CLOCK" in os.environ:
    _step_by(os.environ["CHAOS_CLOCK"])
