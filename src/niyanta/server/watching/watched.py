"""A watched workload and its watchers: what readings are turned into, and what hasn't been taken yet.

One `Watched` serves all watchers of a workload. Status changes and log lines stand in one list, in the order in
which they were committed; each watcher has a place in it. Progress needs no place: only the newest counts, and a
watcher gets it when it has taken all that stands in the list.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import TracebackType
from typing import NoReturn

from niyanta.domain.workload import Status
from niyanta.server.store.logs import StoredLine
from niyanta.server.store.watching import LineSpan, PastMove, WatchedState

__all__ = ["Update", "UpdateKind", "Watch", "Watched", "WatcherTooSlowError"]

_CLOCK_STEP = timedelta(seconds=60)
"""How far a worker's clock may be set back within an attempt without its next log lines being missed."""
_SMALL_BYTES = 300
"""What an update takes besides its texts."""


class UpdateKind(StrEnum):
    """What an update tells of."""

    STATUS = "status"
    """A move, or progress."""
    LOG = "log"
    """One log line."""


@dataclass(frozen=True, slots=True)
class Update:
    """One thing that a watcher is told."""

    kind: UpdateKind
    workload_id: str
    version: int
    """Of a log line: the version that was told before it."""
    status: Status
    progress_percent: int
    timestamp: datetime
    message: str | None
    """Of a status: the progress message, or why it moved. Of a log line: the line."""
    generation: int
    result_json: str | None = None
    """A JSON object; only with COMPLETED."""
    error_message: str | None = None
    """Only with FAILED."""
    level: str = ""
    """Of a log line: DEBUG, INFO, WARN or ERROR."""
    details_json: str = "{}"
    """Of a log line: a JSON object."""

    @property
    def is_terminal(self) -> bool:
        """Whether it is the last that a watcher is told."""
        return self.kind is UpdateKind.STATUS and self.status.is_terminal

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        texts = (self.message, self.result_json, self.error_message, self.details_json)
        return _SMALL_BYTES + sum(len(text) for text in texts if text)


class Watched:
    """One workload's newest state and the updates that some watcher still has to take.

    Attributes:
        current: The newest status update; None until the first reading.
        progress: The newest progress, when it is newer than all that stands in the list.
        first, end: Places in the list: of the oldest update that is kept, and after the newest.
        version, sequence, events_seen: What the last reading has seen: for telling what is new.
    """

    def __init__(self, customer_id: str, workload_id: str) -> None:
        self.customer_id = customer_id
        self.workload_id = workload_id
        self.current: Update | None = None
        self.progress: Update | None = None
        self.first = 0
        self.version = 0
        self.generation = 0
        self.sequence = 0
        self.events_seen = 0
        self.follows_log = False
        self.size_bytes = 0
        self._floor: datetime | None = None
        self._progress: tuple[int, str | None] = (0, None)
        self._updates: deque[Update] = deque()

    @property
    def end(self) -> int:
        """The place after the last update that is kept."""
        return self.first + len(self._updates)

    def __getitem__(self, place: int) -> Update:
        return self._updates[place - self.first]

    def trim(self, place: int) -> None:
        """Forget what stands before a place."""
        while self.first < place and self._updates:
            self.size_bytes -= self._updates.popleft().size_bytes
            self.first += 1

    def new_lines(self, reading: WatchedState) -> LineSpan | None:
        """Where log lines may lie that somebody wants and that came before a reading; None: nowhere."""
        last = (reading.generation, reading.event_sequence)
        if not self.follows_log or last <= (self.generation, self.sequence):
            return None
        # Another attempt may run on a worker whose clock is far behind the last one's.
        floor = self._floor if reading.generation == self.generation else None
        return LineSpan(self.customer_id, self.workload_id, self.generation, self.sequence, *last, floor)

    def fold(self, reading: WatchedState, lines: Sequence[StoredLine], *, whole: bool) -> bool:
        """Take a reading; whether it brought anything to tell.

        Args:
            reading: With all moves since the last reading.
            lines: The first of `new_lines`.
            whole: Whether these are all lines there are. If not, what comes after them is left for another reading.
        """
        end, newest = self.end, self.progress
        if self.current is None:
            self.current = _status_update(reading, reading.completed_at or reading.db_now, _reason(reading))
            self._seen(reading)
            return True
        waiting = deque(reading.moves)
        for line in lines:
            while waiting and _comes_before(waiting[0], line.place.generation):
                self._move(waiting.popleft(), reading)
            self._line(line)
        if whole:
            while waiting:
                self._move(waiting.popleft(), reading)
            self._settle(reading)
            self._seen(reading)
        return self.end > end or self.progress is not newest

    def _seen(self, reading: WatchedState) -> None:
        if reading.generation != self.generation:
            self._floor = None
        self.version = reading.version
        self.generation, self.sequence = reading.generation, reading.event_sequence
        self.events_seen = reading.event_count
        self._progress = (reading.progress_percent, reading.progress_message)

    def _told(self) -> Update:
        """The newest status or progress."""
        assert self.current is not None  # noqa: S101 -- set by the first reading
        return self.progress or self.current

    def _not_before(self, at: datetime) -> datetime:
        """A time that isn't before what was told already.

        A move has its transaction's time, the first reading its own, which may be some milliseconds later.
        """
        return max(at, self._told().timestamp)

    def _add(self, update: Update) -> None:
        self._updates.append(update)
        self.size_bytes += update.size_bytes

    def _move(self, move: PastMove, reading: WatchedState) -> None:
        told, details = self._told(), move.details
        status = Status(details.to)
        message = details.error or details.reason
        if status.is_terminal:
            update = _status_update(reading, self._not_before(move.at), message)
        else:
            update = Update(
                kind=UpdateKind.STATUS,
                workload_id=self.workload_id,
                version=max(details.version, told.version + 1),
                status=status,
                progress_percent=told.progress_percent,
                timestamp=self._not_before(move.at),
                message=message,
                generation=details.attempt,
            )
        self._status(update)
        self.events_seen = move.event_id

    def _status(self, update: Update) -> None:
        self._add(update)
        self.current, self.progress = update, None

    def _line(self, line: StoredLine) -> None:
        told = self._told()
        self._add(
            Update(
                kind=UpdateKind.LOG,
                workload_id=self.workload_id,
                version=told.version,
                status=told.status,
                progress_percent=told.progress_percent,
                timestamp=line.place.logged_at,
                message=line.message,
                generation=line.place.generation,
                level=line.level,
                details_json=line.details_json,
            )
        )
        self.generation, self.sequence = line.place.generation, line.place.sequence
        self._floor = line.place.logged_at - _CLOCK_STEP

    def _settle(self, reading: WatchedState) -> None:
        """Tell what the reading says beyond its moves."""
        told = self._told()
        if reading.version <= told.version:
            return
        at = self._not_before(reading.completed_at or reading.db_now)
        if reading.status != told.status:
            self._status(_status_update(reading, at, _reason(reading)))
        elif (reading.progress_percent, reading.progress_message) != self._progress:
            self.progress = _status_update(reading, at, reading.progress_message)


class WatcherTooSlowError(Exception):
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
        "_leave",
        "_place",
        "_snapshot",
        "_version",
        "_waiter",
        "authorization",
        "logs",
        "watched",
    )

    def __init__(
        self, watched: Watched, leave: Callable[[Watch], None], authorization: str | None, *, logs: bool
    ) -> None:
        self.watched = watched
        self.authorization = authorization
        self.logs = logs
        self._leave = leave
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
        self._leave(self)

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Update:
        while True:
            if self._error is not None:
                raise self._error
            update = self.take()
            if update is not None:
                return update
            if self.watched.current is not None and self.watched.current.is_terminal:
                raise StopAsyncIteration
            await self._woken()

    async def interruption(self) -> NoReturn:
        """Raise what the watch is interrupted with, once it is; for a watcher that is busy with an earlier update."""
        while self._error is None:
            await self._woken()
        raise self._error

    async def _woken(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def begin(self) -> None:
        """Take the snapshot: the updates that it is followed by are those that come from now on."""
        self._snapshot = self.watched.progress or self.watched.current
        self._place = self.watched.end

    def take(self) -> Update | None:
        """The next update, unless none is there yet."""
        watched = self.watched
        if self._snapshot is not None:
            snapshot, self._snapshot = self._snapshot, None
            self._version = snapshot.version
            return snapshot
        while self.place < watched.end:
            update = watched[self.place]
            self._place = self.place + 1
            if update.kind is UpdateKind.LOG:
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
        """How far it has come in the list of updates; at its end while it has no need of them."""
        return self.watched.end if self._place is None or self._error is not None else self._place

    def interrupt(self, error: Exception) -> None:
        """End the iteration with an error, before whatever still waits. The first one counts."""
        self._error = self._error or error
        self.wake()

    def wake(self) -> None:
        """Have it look for updates."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _comes_before(move: PastMove, generation: int) -> bool:
    """Whether a move comes before the log lines of an attempt: those that led to its running do."""
    attempt = move.details.attempt
    return attempt < generation or (attempt == generation and move.details.to in (Status.SCHEDULED, Status.RUNNING))


def _reason(reading: WatchedState) -> str | None:
    """The message that goes with a state of which no move is known."""
    if reading.status in (Status.REDISTRIBUTING, Status.FAILED):
        return str(reading.error_message)
    return reading.progress_message if reading.status == Status.RUNNING else None


def _status_update(reading: WatchedState, at: datetime, message: str | None) -> Update:
    status = reading.status
    return Update(
        kind=UpdateKind.STATUS,
        workload_id=reading.workload_id,
        version=reading.version,
        status=status,
        progress_percent=reading.progress_percent,
        timestamp=at,
        message=message,
        generation=reading.generation,
        result_json=reading.result_json,
        error_message=reading.error_message if status is Status.FAILED else None,
    )
