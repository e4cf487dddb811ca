"""The one way in which workloads move: lock, decide, write, announce; and again after a conflict.

The room around it: `feed` tells everybody of what has been committed, `commands` tells workers, `batcher` lets
single things share a commit, `held_up` keeps one customer's trouble out of shared commits, `losses` takes away what
a lost worker held.

**Identity.** A workload is named by its customer and its own id (`Key`); what it is at a moment, by its version,
which grows by one with each committed change. One transaction makes one `Change` of each workload that it moves:
from the state as it was read, through any number of moves, to the last state. An attempt is named by the workload's
generation.

**Authority.** What a move may be is decided by `niyanta.domain.transitions` and nowhere else. Whoever asks for
moves hands in a decision: a function that gets the changes just begun and adds moves to them, and has no other
effect, because it is called again when the transaction has to be. What is written is guarded once more by the
statement itself: by the version that the decision was made on and, for the leader, by its epoch. Audit events, the
customers' counts and the figures of the hours are written by the same statement, so none of them can say something
else than the rows. What a workload has FAILED of is, rarely, a second one, in the same transaction.

**States.** Begun, decided, written, committed, announced; nothing is seen by anybody before the commit. Rows are
locked in order of their key before anything is decided, the customers' counts after them, then the hours, so that
two movers never wait for each other. A caller that writes nothing besides may go without the lock
(`move_unlocked`): it is told when somebody else was quicker with one of the workloads, and decides again.

**Clocks.** Only the database's: each state comes with the time at which its transaction began, and that is the time
of its moves. Back-offs and time-outs are compared there, too.

**Failures.** A deadlock or serialization failure: the transaction did nothing and is run again. A lock that doesn't
come free: nothing is written, `LockNotFreeError`, and the caller decides for whom to go on. A COMMIT whose answer
was lost: unknown, and the caller's to resolve: events are sent again and found applied, the leader reads again,
requests are told. An older epoch: nothing is written, `LeaderFencedError`. The announcement comes after the commit
and may be lost with the process; everybody who listens to the feed reads the database again from time to time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from niyanta.domain.workload import Key, Status
from niyanta.errors import ServiceUnavailableError
from niyanta.server.moves.feed import ChangeFeed, describe
from niyanta.server.store.database import Database, Pool, retried
from niyanta.server.store.failures import FailureStore
from niyanta.server.store.queries import Connection
from niyanta.server.store.states import Change, Locked
from niyanta.server.store.workloads import WorkloadStore

__all__ = ["Besides", "Decide", "LeaderFencedError", "Mover"]

Decide = Callable[[Mapping[Key, Change]], None]
"""Adds moves to the changes of workloads, by their keys and in order of them; what it raises stops everything."""
Besides = Callable[[Connection], Awaitable[None]]
"""Writes or looks at something else in the same transaction, after the moves."""


class LeaderFencedError(ServiceUnavailableError):
    """Another leader has begun: nothing was written."""

    def __init__(self) -> None:
        super().__init__("Another leader has begun", retry_after_seconds=1)


class Mover:
    """Moves workloads, and tells everybody of it."""

    def __init__(self, database: Database, feed: ChangeFeed) -> None:
        self._database = database
        self._feed = feed
        self._store = WorkloadStore()
        self._failures = FailureStore()

    async def move(
        self,
        keys: Sequence[Key],
        decide: Decide,
        *,
        pool: Pool = Pool.API,
        epoch: int | None = None,
        besides: Besides | None = None,
        lock_seconds: float | None = None,
    ) -> dict[Key, Change]:
        """Move workloads in one transaction; gives the changes of those that exist, empty ones too.

        Args:
            keys: Which; those that don't exist are left out.
            decide: Adds the moves.
            pool: ``api`` or ``vital``.
            epoch: The leader's; None for anybody else.
            besides: Writes what goes with the moves.
            lock_seconds: How long each lock is waited for; None for what holds for all.

        Raises:
            LeaderFencedError: The epoch is no longer the newest.
            LockNotFreeError: Another transaction was in the way for too long.
            ServiceUnavailableError: The database is away, or conflicts came again and again.
        """

        async def lock(conn: Connection) -> Iterable[Locked]:
            return (await self._store.lock(conn, keys)).values()

        return await self._move(lock, decide, pool, epoch, besides, lock_seconds)

    async def move_held(
        self,
        worker_id: str,
        incarnation: str,
        decide: Decide,
        *,
        but_types: Collection[str] = (),
        epoch: int | None = None,
    ) -> int:
        """Move some of what a worker's incarnation holds, in one transaction; gives how many, 0 when it holds none.

        What is of ``but_types`` stays where it is.

        Raises:
            LeaderFencedError, ServiceUnavailableError: As `move`.
        """

        async def lock(conn: Connection) -> Iterable[Locked]:
            return await self._store.lock_held(conn, worker_id, incarnation, list(but_types))

        return len(await self._move(lock, decide, Pool.VITAL, epoch, None, None))

    @retried
    async def move_unlocked(self, keys: Sequence[Key], decide: Decide, *, lock_seconds: float | None = None) -> bool:
        """Move workloads by one statement alone, which spares a transaction around it.

        False when somebody else was quicker with one of them: what was written is, and is announced; the rest is to
        be decided anew. False, too, when one fails for good, which takes more than a statement: nothing was written.

        Raises:
            LockNotFreeError, ServiceUnavailableError: As `move`; nothing was written.
        """
        async with self._database.connection(Pool.VITAL) as conn:
            changes = _begun((await self._store.states(conn, keys)).values())
            decide(changes)
            moved = [change for change in changes.values() if not change.is_empty]
            if any(map(_fails, moved)):
                return False
            written = await self._store.apply(conn, moved, lock_seconds=lock_seconds)
        self._announce(change for change in moved if change.key in written)
        return len(written) == len(moved)

    @retried
    async def _move(
        self,
        lock: Callable[[Connection], Awaitable[Iterable[Locked]]],
        decide: Decide,
        pool: Pool,
        epoch: int | None,
        besides: Besides | None,
        lock_seconds: float | None,
    ) -> dict[Key, Change]:
        async with self._database.transaction(pool, lock_seconds=lock_seconds) as conn:
            changes = _begun(await lock(conn))
            decide(changes)
            moved = [change for change in changes.values() if not change.is_empty]
            written = await self._store.apply(conn, moved, epoch=epoch)
            if len(written) != len(moved):
                # They are locked, so it isn't their versions that have changed.
                raise LeaderFencedError
            if failed := [change.state for change in moved if _fails(change)]:
                await self._failures.add(conn, failed)
            if besides is not None:
                await besides(conn)
        self._announce(moved)
        return changes

    def _announce(self, moved: Iterable[Change]) -> None:
        if news := [change for change in moved if change.state.version != change.before.state.version]:
            self._feed.announce([describe(change) for change in news])
            self._feed.moved(news)


def _fails(change: Change) -> bool:
    return change.state.status is Status.FAILED and change.before.state.status is not Status.FAILED


def _begun(found: Iterable[Locked]) -> dict[Key, Change]:
    changes = map(Change.begin, found)
    return {change.key: change for change in changes}
