"""How long attempts ran, in statistics."""

from __future__ import annotations

import msgspec

__all__ = ["RunSeconds"]


class RunSeconds(msgspec.Struct):
    """How long attempts ran, counted at the end of each."""

    used: float
    """Of all attempts that have ended."""
    redone: float
    """Of that since the last checkpoint, where another attempt had to do it again."""
    lost: float
    """Of that since the last checkpoint, of what ended FAILED or CANCELLED."""
