"""Live feeds: what happens to all of a customer's workloads, or everybody's, told as it happens.

**Authority.** A live feed is told from the feed of changes, without a question to the database. That feed is a hint
that may be lost, so a live feed says when something may be missing (`MissedReason`), and whoever reads it then reads
the list of workloads again. Each change carries the workload's version: the event with the higher one is the newer.

**Identity.** The newest events are kept once for all who watch the same, each with an id: the kept part's random name
and a number. Who comes back with the last id that it saw goes on behind it, as long as this coordinator still keeps
what followed; otherwise it is told that it missed something. A feed that nobody watches any more is kept for a
moment, so that a broken connection costs nothing.

**Bounds.** What is kept is bounded by feed and in all, and each watcher is a place in it: whoever is slower than that
is told that it missed something, and goes on at the newest. Watchers are bounded by customer, and what is told to one
is gathered for a moment, up to a bound, so that a burst costs few writes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable

from niyanta.domain.limits import FEED_HEARTBEAT_SECONDS, MAX_FEED_BYTES
from niyanta.errors import ApiError, RateLimitedError, ServiceUnavailableError
from niyanta.server.access.identity import Authenticator
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.store.customers import Identity
from niyanta.server.watching.credentials import CHECK_AGAIN_SECONDS, refusals
from niyanta.server.watching.events import (
    HEARTBEAT,
    RETRY,
    CustomerEvent,
    FeedEvent,
    FleetEvent,
    MissedEvent,
    MissedReason,
    ReadyEvent,
    WorkloadEvent,
    told,
)
from niyanta.wire.changes import Changed, WorkloadChange

__all__ = ["LiveFeed", "LiveFeeds", "LiveWatch"]

_ALL_FEEDS_BYTES = 32 << 20
"""What is kept of all feeds together; each keeps its share, and no more than `MAX_FEED_BYTES`."""
_KEPT_SECONDS = 60.0
"""For which a feed that nobody watches is kept, for those who come back."""
_GATHER_SECONDS = 0.2
"""What follows an event so soon is told together with it."""
_MOST_AT_ONCE = 200
"""Events that one watcher is told at once; so it is told at most a thousand a second."""
_EVERYBODY = ""
"""In place of a customer's id: the feed of all."""


class LiveFeed:
    """The newest events of one customer's workloads, or of everybody's, and who watches them."""

    def __init__(self) -> None:
        self.name = secrets.token_hex(6)
        self.first = 0
        self.size_bytes = 0
        self.watches: set[LiveWatch] = set()
        self.unwatched_since: float | None = None
        self._events: deque[bytes] = deque()
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def end(self) -> int:
        """The place after the newest event."""
        return self.first + len(self._events)

    def id_at(self, place: int) -> str:
        """What was seen by whoever has come to a place."""
        return f"{self.name}.{place}"

    def place_of(self, identifier: str) -> int | None:
        """The place behind the event with an id; None when what follows isn't kept."""
        name, _, number = identifier.rpartition(".")
        if name != self.name or not (number.isascii() and number.isdigit() and len(number) < 19):
            return None
        return int(number) if self.first <= int(number) <= self.end else None

    def add(self, kind: str, body: FeedEvent, most_bytes: int) -> None:
        """Keep an event, and wake those who wait for one."""
        event = told(kind, self.id_at(self.end + 1), body)
        self._events.append(event)
        self.size_bytes += len(event)
        self.trim(most_bytes)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def trim(self, most_bytes: int) -> None:
        """Forget the oldest beyond so many bytes; the newest is always kept."""
        while self.size_bytes > most_bytes and len(self._events) > 1:
            self.size_bytes -= len(self._events.popleft())
            self.first += 1

    def take(self, place: int) -> tuple[bytes, int]:
        """Some events from a place on, and the place after them."""
        end = min(self.end, place + _MOST_AT_ONCE)
        return b"".join(self._events[number - self.first] for number in range(place, end)), end

    def waiter(self) -> asyncio.Future[None]:
        """Done at the next event."""
        found = asyncio.get_running_loop().create_future()
        self._waiting.append(found)
        return found

    def forget(self, waiter: asyncio.Future[None]) -> None:
        """Whoever waited doesn't any more."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)


class LiveWatch:
    """One watcher of a live feed: an async iterator of bytes to send, and an async context manager.

    Begins with ``ready``; gives a heartbeat where nothing happens. Raises what it is interrupted with.
    """

    def __init__(self, feed: LiveFeed, customer_id: str, authorization: str, last_event_id: str | None) -> None:
        self.customer_id = customer_id
        self.authorization = authorization
        self.feed = feed
        place = None if last_event_id is None else feed.place_of(last_event_id)
        self._place = feed.end if place is None else place
        self._opening = RETRY + told("ready", feed.id_at(self._place), ReadyEvent(resumed=place is not None))
        if place is None and last_event_id is not None:
            self._opening += self._missed(MissedReason.UNKNOWN_ID)
        self._told_at: float | None = None
        self._error: ApiError | None = None
        self._interrupted = asyncio.get_running_loop().create_future()

    def __aiter__(self) -> LiveWatch:
        return self

    async def __anext__(self) -> bytes:
        """What is to be sent next."""
        loop = asyncio.get_running_loop()
        if self._opening:
            opening, self._opening = self._opening, b""
            return opening
        if self._told_at is not None and (early := self._told_at + _GATHER_SECONDS - loop.time()) > 0:
            await asyncio.wait([self._interrupted], timeout=early)
        if self._error is None and self._place == self.feed.end:
            waiter = self.feed.waiter()
            await asyncio.wait(
                [waiter, self._interrupted],
                timeout=FEED_HEARTBEAT_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            self.feed.forget(waiter)
        if self._error is not None:
            raise self._error
        self._told_at = loop.time()
        if self._place < self.feed.first:
            self._place = self.feed.end
            return self._missed(MissedReason.TOO_SLOW)
        if self._place == self.feed.end:
            self._told_at = None
            return HEARTBEAT
        events, self._place = self.feed.take(self._place)
        return events

    def interrupt(self, error: ApiError) -> None:
        """End the iteration with an error. The first one counts."""
        self._error = self._error or error
        if not self._interrupted.done():
            self._interrupted.set_result(None)

    def _missed(self, reason: MissedReason) -> bytes:
        return told("missed", self.feed.id_at(self._place), MissedEvent(reason))


class LiveFeeds:
    """Keeps the live feeds that somebody watches.

    Args:
        feed: Tells what was committed.
        authenticator: Says whether the credentials behind open watches are still good.
        most_per_customer: Watches that one customer may have open.
        now: The time that events get, which is when this coordinator heard of them, as answers write it.
    """

    def __init__(
        self,
        feed: ChangeFeed,
        authenticator: Authenticator,
        *,
        most_per_customer: int,
        now: Callable[[], str],
    ) -> None:
        self._authenticator = authenticator
        self._most_per_customer = most_per_customer
        self._now = now
        self._feeds: dict[str, LiveFeed] = {}
        self._open: dict[str, int] = {}
        self._stopped = False
        feed.listeners.append(self._heard)
        feed.on_lost.append(self._lost)

    @property
    def count(self) -> int:
        """Open watches."""
        return sum(self._open.values())

    def open(
        self, identity: Identity, authorization: str, last_event_id: str | None, *, everybody: bool = False
    ) -> LiveWatch:
        """Begin to watch; `leave` ends it.

        Args:
            identity: Who asks.
            authorization: The credentials, which are checked again every second.
            last_event_id: Of the last event that was seen; None: what comes from now on.
            everybody: All customers' workloads and the fleet, in place of the own.

        Raises:
            RateLimitedError: The customer has too many open.
            ServiceUnavailableError: This coordinator stops.
        """
        if self._stopped:
            raise _stopping()
        customer_id = identity.customer_id
        if self._open.get(customer_id, 0) >= self._most_per_customer:
            raise RateLimitedError(
                f"{self._most_per_customer} live feeds are open already; close one first",
                details={"max_live_feeds_per_customer": self._most_per_customer},
                retry_after_seconds=5,
            )
        key = _EVERYBODY if everybody else customer_id
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = LiveFeed()
            for other in self._feeds.values():
                other.trim(self._share())
        watch = LiveWatch(feed, customer_id, authorization, last_event_id)
        feed.watches.add(watch)
        feed.unwatched_since = None
        self._open[customer_id] = self._open.get(customer_id, 0) + 1
        return watch

    def leave(self, watch: LiveWatch) -> None:
        """End a watch. Idempotent."""
        if watch not in watch.feed.watches:
            return
        watch.feed.watches.discard(watch)
        if not watch.feed.watches:
            watch.feed.unwatched_since = asyncio.get_running_loop().time()
        left = self._open.pop(watch.customer_id) - 1
        if left:
            self._open[watch.customer_id] = left

    async def run(self) -> None:
        """Check credentials, and forget feeds that nobody watches, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_AGAIN_SECONDS)
            now = asyncio.get_running_loop().time()
            for key, feed in list(self._feeds.items()):
                if feed.unwatched_since is not None and now - feed.unwatched_since > _KEPT_SECONDS:
                    del self._feeds[key]
            watches = [watch for feed in self._feeds.values() for watch in feed.watches]
            refused = await refusals(self._authenticator, {watch.authorization for watch in watches})
            for watch in watches:
                if (refusal := refused.get(watch.authorization)) is not None:
                    watch.interrupt(refusal)

    def stop(self) -> None:
        """End all watches, as the coordinator stops: their clients come back to another."""
        self._stopped = True
        for feed in self._feeds.values():
            for watch in feed.watches:
                watch.interrupt(_stopping())

    def _share(self) -> int:
        """Bytes that one feed may keep."""
        return min(MAX_FEED_BYTES, _ALL_FEEDS_BYTES // max(1, len(self._feeds)))

    def _heard(self, changed: Changed) -> None:
        if not self._feeds:
            return
        everybody, most = self._feeds.get(_EVERYBODY), self._share()
        at = self._now()
        for change in changed.changes:
            own = self._feeds.get(change.customer_id)
            if own is not None or everybody is not None:
                event = _event(change, at)
                for feed in (own, everybody):
                    if feed is not None:
                        feed.add("workload", event, most)
        if everybody is not None:
            if changed.fleet:
                everybody.add("fleet", FleetEvent(), most)
            for customer_id in dict.fromkeys(changed.customers):
                everybody.add("customer", CustomerEvent(customer_id), most)

    def _lost(self) -> None:
        for feed in self._feeds.values():
            feed.add("missed", MissedEvent(MissedReason.LOST), self._share())


def _event(change: WorkloadChange, at: str) -> WorkloadEvent:
    return WorkloadEvent(
        workload_id=change.workload_id,
        customer_id=change.customer_id,
        workload_type=change.workload_type,
        status=change.status,
        version=change.version,
        progress_percent=change.progress_percent,
        generation=change.generation,
        worker_id=change.worker_id,
        message=change.message,
        timestamp=at,
    )


def _stopping() -> ServiceUnavailableError:
    return ServiceUnavailableError("This coordinator stops; connect again", retry_after_seconds=1)
