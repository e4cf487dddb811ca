"""Notices that what another coordinator told was lost: its messages are numbered, and come every so often."""

from __future__ import annotations

__all__ = ["BEAT_SECONDS", "LostChanges"]

BEAT_SECONDS = 2.0
"""A coordinator that has nothing to tell says its number this often."""
_SILENT_SECONDS = 5 * BEAT_SECONDS
"""Who says nothing for so long has died, or is cut off, perhaps with something untold."""


class LostChanges:
    """The last number heard of each other coordinator, and when."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[int, float]] = {}

    def note(self, origin: str, number: int, now: float) -> bool:
        """A message has come; whether one before it is missing.

        Args:
            origin: Who sent it.
            number: Its number; 0 from a release that doesn't count.
            now: Monotonic seconds.
        """
        if number == 0:
            return False
        last, _ = self._heard.get(origin, (0, now))
        self._heard[origin] = (number, now)
        return number != last + 1

    def forget(self, origin: str) -> None:
        """It has said its last."""
        self._heard.pop(origin, None)

    def fell_silent(self, now: float) -> bool:
        """Whether one has said nothing for too long; told once, until it is heard again."""
        silent = [origin for origin, (_, at) in self._heard.items() if now - at > _SILENT_SECONDS]
        for origin in silent:
            del self._heard[origin]
        return bool(silent)
