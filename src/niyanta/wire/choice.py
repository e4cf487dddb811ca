"""Whom of a queue group a client asks: one that has answered, and another when that one falls silent.

The broker chooses a member for each request to the group, also one that is frozen and will never answer; a cluster
chooses those at the client's own server first, so it may be the same one again and again. So each reply names an
address of its sender alone, and requests go there as long as they are answered. When one isn't, all members are asked
at once who is there, and the first to say so is taken. A frozen member then costs one time-out. The group is asked
again from time to time, so that the members' shares stay even and a new one gets its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["GroupChoice"]


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

    @property
    def address(self) -> str:
        """Where the next request goes; empty for the group."""
        return self._present if self._clock() < self._until else ""

    def answered(self, address: str) -> None:
        """A member has answered, and named its address."""
        now = self._clock()
        if address != self._present or now >= self._until:
            self._present, self._until = address, now + self._stay_seconds

    def gone(self) -> None:
        """Nobody answers at the address any more: the group is to be asked."""
        self._until = 0.0
