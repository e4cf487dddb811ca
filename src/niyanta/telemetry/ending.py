"""Ending exporters within a bound: a collector may take its time, or never answer."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["ended"]


def ended(shut_down: Callable[[], object], seconds: float) -> bool:
    """Have something shut down; whether it was done in time. If not, it goes on for as long as the process lives."""
    ending = threading.Thread(target=shut_down, name="niyanta-telemetry-end", daemon=True)
    ending.start()
    ending.join(seconds)
    return not ending.is_alive()
