"""Connections that have not shown good credentials: strangers. A bounded number is kept, in all and of one source.

Anybody can open connections; each costs memory and a file descriptor. So a stranger is given little time
(`HeadLimits.seconds` to ask, a short keep-alive after a public answer, none after one that needed credentials), and
when there are too many, the one that has done nothing for the longest makes room for the newest. Nobody is turned
away at the door: whoever asks at once is served, however many only sit there. A connection stops being a stranger
with its first good credentials.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from niyanta.server.access.proxies import network_of

__all__ = ["KEEP_ALIVE_SECONDS", "SEND_AWAY", "WELCOME", "Stranger", "Strangers"]

KEEP_ALIVE_SECONDS = 5
"""How long a stranger's connection stays open after an answer."""

WELCOME = "niyanta.welcome"
"""Key of a stranger's scope, of what is to be called when its credentials have been found good; and no other's."""

SEND_AWAY = "niyanta.send_away"
"""Key of a scope under which stands what cuts the connection, whatever is still to be sent."""

_ANSWER_SECONDS = 30.0
"""Whoever has not taken a public answer by then is as idle as one that asked for nothing."""


class Stranger(Protocol):
    """What is asked of a connection."""

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""

    def send_away(self) -> None:
        """Cut the connection."""


class Strangers:
    """Those of one server.

    Args:
        most: In all.
        most_per_source: Of one address; of one /64 network with IPv6.
        is_shared: Whether an address is a proxy's, whose connections are of many: only the bound on all holds.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        most: int,
        most_per_source: int,
        *,
        is_shared: Callable[[str], bool] = lambda _: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._is_shared = is_shared
        self._most = most
        self._most_per_source = most_per_source
        self._all: dict[Stranger, tuple[str, float]] = {}
        self._by_source: dict[str, dict[Stranger, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, stranger: Stranger, address: str) -> None:
        """A connection has come; may send another one away."""
        source = network_of(address)
        self._all[stranger] = (source, self._clock())
        of_source = self._by_source.setdefault(source, {})
        of_source[stranger] = None
        if len(of_source) > self._most_per_source and not self._is_shared(address):
            self._make_room(of_source, stranger)
        elif len(self._all) > self._most:
            self._make_room(self._all, stranger)

    def leave(self, stranger: Stranger) -> None:
        """It has gone, or is no stranger any more. Idempotent."""
        source, _ = self._all.pop(stranger, ("", 0.0))
        of_source = self._by_source.get(source)
        if of_source is not None:
            of_source.pop(stranger, None)
            if not of_source:
                del self._by_source[source]

    def _make_room(self, among: dict[Stranger, None] | dict[Stranger, tuple[str, float]], newest: Stranger) -> None:
        """Send the oldest away that is idle, if there is one: the others are being served, which takes moments."""
        now = self._clock()
        for stranger in among:
            if stranger is newest:
                return
            if not stranger.is_busy or now - self._all[stranger][1] > _ANSWER_SECONDS:
                self.leave(stranger)
                stranger.send_away()
                return
