"""How often calls may come to nothing: those of one connection, and those of all of one source.

Whoever opens calls only to reset them, which is one more frame of HTTP/2, has work done for nothing, as much of it as
the line carries, and no bound on calls under way ever holds (CVE-2023-44487). Honest callers give a call up now and
then. So each connection has a leaky bucket of such calls; the one whose bucket is full is cut. Each source has a
larger bucket besides: when it is full, which takes many connections or some that were cut, the buckets of its
connections are small for a while. Once either is full, new connections of the source have a queue of their own. It
isn't shut out: others may be behind the same address.

Calls that the gate refuses, for credentials or for a rate, cost nearly as much; of those there may be more, as honest
callers have them, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from niyanta.server.access.proxies import network_of

__all__ = ["Bucket", "Buckets", "PortBounds", "ResetBounds"]

Value = TypeVar("Value")

_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Bucket:
    """Calls given up at once, in a burst, and for ever."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Buckets:
    """For one way in which calls come to nothing."""

    connection: Bucket
    source: Bucket
    bad_sources_connection: Bucket


_GIVEN_UP = Buckets(Bucket(100, 20.0), Bucket(400, 80.0), Bucket(10, 2.0))
_TURNED_AWAY = Buckets(Bucket(1_000, 100.0), Bucket(2_000, 200.0), Bucket(100, 20.0))
_BAD_SECONDS = 60.0
"""How long after its bucket was full a source's connections have small ones."""


@dataclass(slots=True)
class _Level:
    level: float = 0.0
    at: float = 0.0

    def fill(self, bucket: Bucket, now: float) -> bool:
        """One more; whether the bucket is too small for it."""
        level = max(0.0, self.level - (now - self.at) * bucket.per_second) + 1
        self.level, self.at = min(level, bucket.burst + 1.0), now
        return level > bucket.burst


class ResetBounds:
    """The buckets of one port.

    Args:
        clock: Monotonic seconds.
        buckets: How large they are.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, buckets: Buckets = _GIVEN_UP) -> None:
        self._clock = clock
        self._buckets = buckets
        self._connections: dict[str, _Level] = {}
        self._sources: dict[str, _Level] = {}
        self._bad_until: dict[str, float] = {}

    def __len__(self) -> int:
        """How many connections and sources are remembered."""
        return len(self._connections) + len(self._sources) + len(self._bad_until)

    def is_bad(self, address: str) -> bool:
        """Whether a source's bucket was full lately."""
        return self._bad_until.get(network_of(address), 0.0) > self._clock()

    def count(self, connection: str, address: str) -> bool:
        """A call has come to nothing.

        Args:
            connection: A name of its connection.
            address: The other end's.

        Returns:
            Whether the connection must be cut; it is forgotten then.
        """
        now, source = self._clock(), network_of(address)
        if _newest(self._sources, source, _Level).fill(self._buckets.source, now):
            _newest(self._bad_until, source, float)
            self._bad_until[source] = now + _BAD_SECONDS
        is_bad = self._bad_until.get(source, now) > now
        bucket = self._buckets.bad_sources_connection if is_bad else self._buckets.connection
        if _newest(self._connections, connection, _Level).fill(bucket, now):
            del self._connections[connection]
            return True
        return False


class PortBounds:
    """Those of both kinds of calls.

    Attributes:
        given_up: Those that their callers gave up at once.
        turned_away: Those that the gate refused.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.given_up = ResetBounds(clock, _GIVEN_UP)
        self.turned_away = ResetBounds(clock, _TURNED_AWAY)


def _newest(among: dict[str, Value], key: str, make: Callable[[], Value]) -> Value:
    """The value of a key, which is the last to be forgotten then."""
    found = among.pop(key, None) or make()
    if len(among) >= _MOST_REMEMBERED:
        del among[next(iter(among))]
    among[key] = found
    return found
