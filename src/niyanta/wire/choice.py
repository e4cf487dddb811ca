"""Whom of a queue group a client asks: one that has answered, and another when that one falls silent.

The broker chooses a member for each request to the group, also one that is frozen and will never answer. So each
reply names an address of its sender alone, and requests go there as long as they are answered. A frozen member then
costs a time-out now and then, and not one in every few requests. The group is asked again from time to time, so that
the members' shares stay even and a new one gets its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["GroupChoice"]

_FORGET_SECONDS = 120.0
"""An address that hasn't answered for so long is asked no more."""


class GroupChoice:
    """For one subject.

    Args:
        stay_seconds: How long one member is asked, until the group is asked again.
        clock: Monotonic, in seconds.
    """

    def __init__(self, stay_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stay_seconds = stay_seconds
        self._clock = clock
        self._present = ""
        self._until = 0.0
        self._answered: dict[str, float] = {}
        """Members by their address, and when each answered last; the latest last."""

    @property
    def address(self) -> str:
        """Where the next request goes; empty for the group."""
        return self._present if self._clock() < self._until else ""

    def answered(self, address: str) -> None:
        """A member has answered, and named its address."""
        now = self._clock()
        self._answered.pop(address, None)
        self._answered[address] = now
        if address != self._present or now >= self._until:
            self._present, self._until = address, now + self._stay_seconds

    def silent(self, address: str) -> None:
        """Nobody answered in time at an address, or, when it is empty, of the group: ask another that did lately."""
        self._answered.pop(address, None)
        now = self._clock()
        self._answered = {other: at for other, at in self._answered.items() if now - at < _FORGET_SECONDS}
        self._present = next(reversed(self._answered), "")
        self._until = now + self._stay_seconds if self._present else 0.0

    def gone(self, address: str) -> None:
        """Nobody listens at an address any more: the group is to be asked."""
        self._answered.pop(address, None)
        self._until = 0.0
