"""How patient a test must be."""

from __future__ import annotations

import os

__all__ = ["pace"]


def pace() -> float:
    """How many times slower than idle the machine is; deadlines for mere computing are stretched by it."""
    return min(4.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))
