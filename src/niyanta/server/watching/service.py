"""Watching workloads: every move in order, the newest progress, log lines as they come.

What watchers are told is read from the database; the feed of changes only says when to read, so that a lost hint
costs time and never an update. All watched workloads that have changed are read together, one reading at a time, and
watchers of the same workload share what was read. Every watched workload is looked at again after
`_LOOK_AGAIN_SECONDS`, hint or no hint.

A watcher takes updates at its own speed. What it hasn't taken is kept for it up to a limit. Beyond the limit the
workload isn't read on for a moment, so that a burst drives nobody away; whoever is behind after that is too slow.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import islice

from niyanta.domain.limits import MAX_KEPT_BYTES
from niyanta.domain.workload import Key
from niyanta.errors import NotFoundError, ServiceUnavailableError
from niyanta.server.access.identity import Authenticator
from niyanta.server.moves.feed import ChangeFeed
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import Database
from niyanta.server.store.watching import WatchStore
from niyanta.server.watching.credentials import CHECK_AGAIN_SECONDS, refusals
from niyanta.server.watching.watched import Update, Watch, Watched, WatcherTooSlowError
from niyanta.wire.cancels import lasting
from niyanta.wire.changes import Changed

__all__ = ["Update", "Watch", "WatchService", "WatcherTooSlowError"]

log = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = 1.2
_RETRY_SECONDS = 0.3
_MOST_READ = 500
"""Workloads in one reading."""
_MOST_LINES = 200
"""Log lines of one workload in one reading."""
_ALL_KEPT_BYTES = 64 * 1024 * 1024
"""The same of all workloads together."""
_PATIENCE_SECONDS = 1.0
"""How long watchers that are too far behind have to catch up."""
_CATCH_UP_SECONDS = 0.02


class _Entry:
    """A watched workload with its watchers."""

    __slots__ = ("full_since", "openers", "watched", "watches")

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.watches: set[Watch] = set()
        self.openers: list[asyncio.Future[None]] = []
        """Of those that wait for a reading that begins after they came."""
        self.full_since: float | None = None
        """When its watchers were first found too far behind."""


class WatchService:
    """Opens watches and keeps them supplied."""

    def __init__(self, database: Database, feed: ChangeFeed, authenticator: Authenticator) -> None:
        self._database = database
        self._authenticator = authenticator
        self._store = WatchStore()
        self._entries: dict[Key, _Entry] = {}
        self._unread: dict[Key, None] = {}
        self._something_unread = asyncio.Event()
        self._kept_bytes = 0
        self._stopped = False
        feed.listeners.append(self._heard)

    @property
    def count(self) -> int:
        """Open watches."""
        return sum(len(entry.watches) for entry in self._entries.values())

    @property
    def workloads(self) -> int:
        """Workloads that are watched."""
        return len(self._entries)

    @property
    def kept_bytes(self) -> int:
        """What is kept for watchers that are behind."""
        return self._kept_bytes

    async def open(
        self, identity: Identity, workload_id: str, *, logs: bool = False, authorization: str | None = None
    ) -> Watch:
        """Begin to watch.

        Args:
            identity: Who asks.
            workload_id: Of their workload.
            logs: Whether log lines are wanted: those that are committed from now on.
            authorization: The credentials, in the form of an ``Authorization`` header; they are checked again every
                second for as long as the watch is open. None: they aren't.

        Raises:
            NotFoundError: The customer has no such workload.
            ServiceUnavailableError: The database is away.
        """
        if self._stopped:
            raise _stopping()
        key = (identity.customer_id, workload_id)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(Watched(*key))
        watch = Watch(entry.watched, self.leave, authorization, logs=logs)
        entry.watches.add(watch)
        read = asyncio.get_running_loop().create_future()
        entry.openers.append(read)
        self._to_read(key)
        try:
            await read
        except BaseException:
            self.leave(watch)
            raise
        watch.begin()
        return watch

    def leave(self, watch: Watch) -> None:
        """End a watch. Idempotent."""
        key = (watch.watched.customer_id, watch.watched.workload_id)
        entry = self._entries.get(key)
        if entry is None or watch not in entry.watches:
            return
        entry.watches.discard(watch)
        if not entry.watches:
            del self._entries[key]
            self._kept_bytes -= entry.watched.size_bytes

    async def run(self) -> None:
        """Read, look again and check credentials until cancelled; then no watch goes on."""
        self._stopped = False
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(lasting(self._read_loop))
                group.create_task(lasting(self._look_again_loop))
                group.create_task(lasting(self._check_again_loop))
        finally:
            self._stopped = True
            for entry in self._entries.values():
                _answer(entry.openers, _stopping())
                for watch in entry.watches:
                    watch.interrupt(_stopping())

    def _heard(self, changed: Changed) -> None:
        if not self._entries:
            return
        for change in changed.changes:
            key = (change.customer_id, change.workload_id)
            entry = self._entries.get(key)
            if entry is not None and change.version > entry.watched.version:
                self._to_read(key)
        for key in changed.logged:
            entry = self._entries.get(key)
            if entry is not None and entry.watched.follows_log:
                self._to_read(key)

    def _to_read(self, key: Key) -> None:
        self._unread[key] = None
        self._something_unread.set()

    async def _read_loop(self) -> None:
        while True:
            await self._something_unread.wait()
            batch = self._next_batch()
            if not self._unread:
                self._something_unread.clear()
            if not batch:
                continue
            openers = {key: entry.openers for key, entry in batch.items()}
            for entry in batch.values():
                entry.openers = []
            try:
                await self._read(batch)
            except ServiceUnavailableError as exc:
                for waiting in openers.values():
                    _answer(waiting, exc)
                for key in batch:
                    self._to_read(key)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            for key, waiting in openers.items():
                _answer(waiting, _missing() if batch[key].watched.current is None else None)

    def _next_batch(self) -> dict[Key, _Entry]:
        batch = {}
        for key in list(islice(self._unread, _MOST_READ)):
            del self._unread[key]
            entry = self._entries.get(key)
            if entry is not None and self._has_room(key, entry):
                batch[key] = entry
        return batch

    def _has_room(self, key: Key, entry: _Entry) -> bool:
        """Whether its watchers have taken enough for it to be read on; those who won't are ended."""
        watched = entry.watched
        self._trim(entry, min((watch.place for watch in entry.watches), default=watched.end))
        if watched.size_bytes == 0 or (watched.size_bytes <= MAX_KEPT_BYTES and self._kept_bytes <= _ALL_KEPT_BYTES):
            entry.full_since = None
            return True
        loop = asyncio.get_running_loop()
        entry.full_since = entry.full_since or loop.time()
        if loop.time() - entry.full_since < _PATIENCE_SECONDS:
            loop.call_later(_CATCH_UP_SECONDS, self._to_read, key)
            return False
        for watch in entry.watches:
            if watch.place < watched.end:
                watch.interrupt(WatcherTooSlowError("too many updates waited to be taken"))
        self._trim(entry, watched.end)
        entry.full_since = None
        return True

    def _trim(self, entry: _Entry, place: int) -> None:
        before = entry.watched.size_bytes
        entry.watched.trim(place)
        self._kept_bytes += entry.watched.size_bytes - before

    async def _read(self, batch: dict[Key, _Entry]) -> None:
        """Read some workloads and hand on what is new."""
        async with self._database.connection() as conn:
            found = await self._store.states(conn, [(*key, e.watched.events_seen) for key, e in batch.items()])
            spans = [span for key, reading in found.items() if (span := batch[key].watched.new_lines(reading))]
            lines = await self._store.lines(conn, spans, _MOST_LINES) if spans else {}
        for key, entry in batch.items():
            if self._entries.get(key) is not entry:
                continue
            if key not in found:
                for watch in entry.watches:
                    watch.interrupt(_missing())
                continue
            before, news = entry.watched.size_bytes, lines.get(key, [])
            whole = len(news) < _MOST_LINES
            if entry.watched.fold(found[key], news, whole=whole):
                for watch in entry.watches:
                    watch.wake()
            self._kept_bytes += entry.watched.size_bytes - before
            entry.watched.follows_log = any(watch.logs for watch in entry.watches)
            if not whole:
                self._to_read(key)

    async def _look_again_loop(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            watched = [
                (*key, w.version, w.generation, w.sequence if w.follows_log else None)
                for key, entry in self._entries.items()
                if (w := entry.watched).current is not None and not w.current.is_terminal
            ]
            try:
                for first in range(0, len(watched), 2000):
                    async with self._database.connection() as conn:
                        stale = await self._store.stale(conn, watched[first : first + 2000])
                    for key in stale:
                        if key in self._entries:
                            self._to_read(key)
            except ServiceUnavailableError:
                log.info("watching.not_looked_again")

    async def _check_again_loop(self) -> None:
        while True:
            await asyncio.sleep(CHECK_AGAIN_SECONDS)
            held: dict[str, list[Watch]] = {}
            for entry in self._entries.values():
                for watch in entry.watches:
                    if watch.authorization is not None:
                        held.setdefault(watch.authorization, []).append(watch)
            for authorization, refusal in (await refusals(self._authenticator, held)).items():
                for watch in held[authorization]:
                    watch.interrupt(refusal)


def _answer(openers: list[asyncio.Future[None]], error: Exception | None) -> None:
    for opener in openers:
        if opener.done():
            continue
        if error is None:
            opener.set_result(None)
        else:
            opener.set_exception(error)


def _missing() -> NotFoundError:
    return NotFoundError("There is no such workload")


def _stopping() -> ServiceUnavailableError:
    return ServiceUnavailableError("This coordinator stops; connect again", retry_after_seconds=1)
