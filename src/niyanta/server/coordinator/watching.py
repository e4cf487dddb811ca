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
from types import TracebackType

from niyanta.errors import ApiError, ForbiddenError, NotFoundError, ServiceUnavailableError
from niyanta.server.coordinator.changes import ChangeFeed
from niyanta.server.coordinator.identity import Authenticator
from niyanta.server.coordinator.updates import Update, Watched
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import Database, RetryableConflict
from niyanta.server.store.watching import WatchStore
from niyanta.wire.messages import Changed

__all__ = ["Update", "Watch", "WatchService", "WatcherTooSlow"]

log = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = 1.2
_CHECK_AGAIN_SECONDS = 1.0
"""How often the credentials behind open watches are checked."""
_RETRY_SECONDS = 0.3
_MOST_READ = 500
"""Workloads in one reading."""
_MOST_LINES = 200
"""Log lines of one workload in one reading."""
_KEPT_BYTES = 256 * 1024
"""Of one workload, for watchers that are behind."""
_ALL_KEPT_BYTES = 64 * 1024 * 1024
"""The same of all workloads together."""
_PATIENCE_SECONDS = 1.0
"""How long watchers that are too far behind have to catch up."""
_CATCH_UP_SECONDS = 0.02

Key = tuple[str, str]


class WatcherTooSlow(Exception):
    """More waited for a watcher than is kept for one."""


class Watch:
    """One watcher of one workload: an async iterator of its updates, to be used as an async context manager.

    The first update is a snapshot; versions strictly rise from there; the last is the one with a terminal status.

    Raises while iterating:
        WatcherTooSlow: Too much waited to be taken.
        UnauthorizedError, ForbiddenError: The credentials it was opened with are no longer good.
        NotFoundError: The workload was deleted.
        ServiceUnavailableError: The coordinator stops.
        Whatever `interrupt` was called with.
    """

    __slots__ = (
        "_error",
        "_place",
        "_service",
        "_snapshot",
        "_version",
        "_waiter",
        "authorization",
        "logs",
        "watched",
    )

    def __init__(self, service: WatchService, watched: Watched, authorization: str | None, *, logs: bool) -> None:
        self.watched = watched
        self.authorization = authorization
        self.logs = logs
        self._service = service
        self._place: int | None = None
        self._snapshot: Update | None = None
        self._version = 0
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Watch:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._service.leave(self)

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Update:
        while True:
            if self._error is not None:
                raise self._error
            update = self._take()
            if update is not None:
                return update
            if self.watched.current is not None and self.watched.current.is_terminal:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def begin(self) -> None:
        """Take the snapshot: the updates that it is followed by are those that come from now on."""
        self._snapshot = self.watched.progress or self.watched.current
        self._place = self.watched.end

    def _take(self) -> Update | None:
        watched = self.watched
        if self._snapshot is not None:
            snapshot, self._snapshot = self._snapshot, None
            self._version = snapshot.version
            return snapshot
        while self.place < watched.end:
            update = watched[self.place]
            self._place = self.place + 1
            if update.kind == "log":
                if self.logs:
                    return update
            else:
                self._version = update.version
                return update
        progress = watched.progress
        if progress is not None and progress.version > self._version:
            self._version = progress.version
            return progress
        return None

    @property
    def place(self) -> int:
        """How far it has come in the list of updates."""
        return self.watched.end if self._place is None else self._place

    def interrupt(self, error: Exception) -> None:
        """End the iteration with an error, before whatever still waits. The first one counts."""
        self._error = self._error or error
        self.wake()

    def wake(self) -> None:
        """Have it look for updates."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


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
        watch = Watch(self, entry.watched, authorization, logs=logs)
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
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read_loop())
                group.create_task(self._look_again_loop())
                group.create_task(self._check_again_loop())
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
            except (ServiceUnavailableError, RetryableConflict) as exc:
                for waiting in openers.values():
                    _answer(waiting, exc if isinstance(exc, ApiError) else _busy())
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
        if watched.size_bytes == 0 or (watched.size_bytes <= _KEPT_BYTES and self._kept_bytes <= _ALL_KEPT_BYTES):
            entry.full_since = None
            return True
        loop = asyncio.get_running_loop()
        entry.full_since = entry.full_since or loop.time()
        if loop.time() - entry.full_since < _PATIENCE_SECONDS:
            loop.call_later(_CATCH_UP_SECONDS, self._to_read, key)
            return False
        for watch in entry.watches:
            if watch.place < watched.end:
                watch.interrupt(WatcherTooSlow("too many updates waited to be taken"))
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
            places = [
                batch[key].watched.line_place(row["generation"])
                for key, (row, _) in found.items()
                if batch[key].watched.has_new_lines(row)
            ]
            lines = await self._store.lines(conn, places, _MOST_LINES) if places else {}
        for key, entry in batch.items():
            if self._entries.get(key) is not entry:
                continue
            if key not in found:
                for watch in entry.watches:
                    watch.interrupt(_missing())
                continue
            before, news = entry.watched.size_bytes, lines.get(key, [])
            whole = len(news) < _MOST_LINES
            if entry.watched.fold(*found[key], news, whole=whole):
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
            except (ServiceUnavailableError, RetryableConflict):
                log.info("watching.not_looked_again")

    async def _check_again_loop(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_AGAIN_SECONDS)
            held: dict[str, list[Watch]] = {}
            for entry in self._entries.values():
                for watch in entry.watches:
                    if watch.authorization is not None:
                        held.setdefault(watch.authorization, []).append(watch)
            for authorization, watches in held.items():
                if (refusal := await self._refusal(authorization)) is not None:
                    for watch in watches:
                        watch.interrupt(refusal)

    async def _refusal(self, authorization: str) -> ApiError | None:
        try:
            identity = await self._authenticator.identify(authorization)
        except (ServiceUnavailableError, RetryableConflict):
            return None
        except ApiError as exc:
            return exc
        return ForbiddenError("This customer is suspended") if identity.suspended else None


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


def _busy() -> ServiceUnavailableError:
    return ServiceUnavailableError("The database is too busy; try again", retry_after_seconds=1)
