"""The connection pools, and the one place where driver errors become ours.

Four pools: ``api`` for requests; ``customer`` for those that concern one customer alone, in a role that sees nothing
of others (ADR 0030); ``vital`` for what keeps the system alive (heartbeats, events, assignments); ``lease`` for the
election and for looking whether the database answers at all. A flood of one can never starve another.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import asyncpg

from niyanta.errors import ConfigurationError, ServiceUnavailableError
from niyanta.server.store.pools import Pool, PoolConnection, Standing, look, open_pool
from niyanta.server.store.queries import Connection, Queries
from niyanta.server.store.servers import Servers, unreachable
from niyanta.wire.cancels import cancels_asked

__all__ = [
    "Database",
    "LockNotFreeError",
    "OutcomeUnknownError",
    "Pool",
    "TransactionConflictError",
    "answered_within",
    "outcome_unknown",
    "retried",
]

log = logging.getLogger(__name__)

_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresSystemError,
    OSError,
    TimeoutError,
)
_RELEASE_SECONDS = 0.5
"""For a statement that was cancelled, or a rollback, to be over; the connection is closed then."""
_REFUSED = (
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""Of these what says that the server answered: nothing was written."""

_MOST_TRIES = 5


Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Use(NamedTuple):
    """Connections of a pool."""

    in_use: int
    open: int
    most: int


class OutcomeUnknownError(ServiceUnavailableError):
    """The connection broke around a COMMIT: whether it happened must be found out by reading.

    It has no ``retry_after_seconds``: clients repeat by themselves what comes with one, and this may have been done.

    Attributes:
        until: By the database's clock: a statement that has not begun by then comes to nothing. None for a COMMIT,
            whose transaction holds its locks.
    """

    until: datetime | None = None


class LockNotFreeError(ServiceUnavailableError):
    """Another transaction holds what this one needs, for longer than this one may wait: it did nothing."""


class TransactionConflictError(ServiceUnavailableError):
    """A transaction came to nothing because of another: run again, it may well succeed (see `retried`).

    Attributes:
        why: What PostgreSQL said, or what this transaction found; for logs.
    """

    def __init__(self, why: str) -> None:
        super().__init__(
            "The database is too busy; try again", details={"dependency": "database"}, retry_after_seconds=1
        )
        self.why = why


@asynccontextmanager
async def answered_within(seconds: float) -> AsyncIterator[None]:
    """Raise ServiceUnavailableError when the time is up: in a queue each would wait for as long as all before it."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise _away() from None


def _away() -> ServiceUnavailableError:
    return ServiceUnavailableError(
        "The database is away or too slow at the moment; try again",
        details={"dependency": "database"},
        retry_after_seconds=1,
    )


def outcome_unknown(until: datetime | None = None) -> OutcomeUnknownError:
    """The error of whoever has sent a COMMIT, or a statement that is one, and has no answer."""
    error = OutcomeUnknownError(
        "The database went away while committing; whether it did is unknown: look before you try again",
        details={"dependency": "database", "outcome": "unknown"},
    )
    error.until = until
    return error


def _is_cut(conn: Connection) -> bool:
    try:
        return conn.is_closed()
    except asyncpg.InterfaceError:  # and back in its pool
        return True


def retried(
    work: Callable[Parameters, Coroutine[Any, Any, Result]],
) -> Callable[Parameters, Coroutine[Any, Any, Result]]:
    """Run a coroutine function again, a few times, when PostgreSQL broke a deadlock or refused a serialization.

    For functions that only read, and for those whose writes are all in one transaction (or one statement) and that
    have no other effect before it has committed.

    Raises:
        TransactionConflictError: It met a conflict each time.
    """

    @functools.wraps(work)
    async def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        for _ in range(_MOST_TRIES - 1):
            try:
                return await work(*args, **kwargs)
            except TransactionConflictError as conflict:
                log.info("database.conflict", extra={"work": work.__qualname__, "why": conflict.why})
        return await work(*args, **kwargs)

    return run


_queries = Queries("database.sql")
_limit_locks = _queries.many("limit_locks", str)


class Database:
    """The pools of one process.

    Attributes:
        failures: Uses that failed as PostgreSQL was away or too slow, so far.
        standing: The role.
    """

    def __init__(self, servers: Servers, pools: Mapping[Pool, asyncpg.Pool[Any]], standing: Standing) -> None:
        self._servers = servers
        self._pools = pools
        self.standing = standing
        self._in_use: set[asyncpg.pool.PoolConnectionProxy[Any]] = set()
        self.failures = 0

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        api_connections: int = 5,
        customer_connections: int = 5,
        vital_connections: int = 6,
        in_passing: bool = False,
    ) -> Database:
        """Connect.

        Args:
            url: Where it is.
            api_connections: Most of the pool for requests.
            customer_connections: Most of the pool for those of one customer.
            vital_connections: Most of the pool for what keeps the system alive.
            in_passing: Whether it is for a moment's work, as a command's: each pool then has no connection before
                one is asked for, where a coordinator's has its first from the start.

        Raises:
            ConfigurationError: Nothing answers at the URL, it refuses the credentials, or it doesn't
                keep what it acknowledges (``fsync`` or ``synchronous_commit`` off).
        """
        sizes = {
            Pool.API: api_connections,
            Pool.CUSTOMER: customer_connections,
            Pool.VITAL: vital_connections,
            Pool.LEASE: 2,
        }
        try:
            servers = Servers(url)
            standing = await look(servers)
            least = 0 if in_passing else 1
            pools = {name: await open_pool(servers, name, (least, most), standing) for name, most in sizes.items()}
        except (OSError, TimeoutError) as exc:
            raise unreachable(exc) from exc
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as exc:
            raise ConfigurationError(f"the database refused: {exc}") from exc
        return cls(servers, pools, standing)

    def use(self) -> dict[Pool, Use]:
        """How many connections there are, and are in use."""
        return {
            name: Use(pool.get_size() - pool.get_idle_size(), pool.get_size(), pool.get_max_size())
            for name, pool in self._pools.items()
        }

    async def close(self) -> None:
        """Close both pools; connections still busy after five seconds are cut."""
        for pool in self._pools.values():
            try:
                async with asyncio.timeout(5):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    async def begin_anew(self) -> None:
        """Cut every connection, as they have fallen silent: what waits fails now, what comes next begins anew."""
        for pool in self._pools.values():
            await pool.expire_connections()
        for conn in list(self._in_use):
            conn.terminate()

    @asynccontextmanager
    async def new_connection(self) -> AsyncIterator[Connection]:
        """A connection of no pool, opened now and cut afterwards.

        Raises:
            ServiceUnavailableError: There is none to be had.
        """
        try:
            conn = await self._servers.connect()
        except (*_AWAY, asyncpg.PostgresError) as exc:
            raise self._away(exc) from exc
        try:
            yield conn
        except (*_AWAY, asyncpg.PostgresError) as exc:
            raise self._away(exc) from exc
        finally:
            conn.terminate()

    @asynccontextmanager
    async def connection(
        self, pool: Pool = Pool.API, *, customer_id: str | None = None, wait_seconds: float = 2.0
    ) -> AsyncIterator[Connection]:
        """A connection in autocommit mode, with driver errors mapped.

        Args:
            pool: Whose.
            customer_id: The only customer that it sees; it is of the pool for that, whichever was named.
            wait_seconds: For a connection to come free.

        Raises:
            ServiceUnavailableError: PostgreSQL is away or too slow, or no connection came free in time.
            TransactionConflictError: Deadlock or serialization failure.
            LockNotFreeError: Another transaction was in the way for too long.
        """
        source = self._pools[pool if customer_id is None else Pool.CUSTOMER]
        asked = cancels_asked()
        try:
            conn = await source.acquire(timeout=wait_seconds)
        except _AWAY as exc:
            raise self._away(exc) from exc
        except asyncio.CancelledError as exc:
            raise self._given_up(exc, asked) from exc
        self._in_use.add(conn)
        try:
            if self.standing.hides_others and source is self._pools[Pool.CUSTOMER]:
                await cast("PoolConnection", conn).show_only(customer_id or "")
            yield conn
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as exc:
            raise TransactionConflictError(str(exc)) from exc
        except asyncpg.LockNotAvailableError as exc:
            raise LockNotFreeError(
                "The database is too busy; try again", details={"dependency": "database"}, retry_after_seconds=1
            ) from exc
        except asyncpg.QueryCanceledError as exc:
            raise self._away(exc) from exc
        except _AWAY as exc:
            raise self._away(exc) from exc
        except asyncio.CancelledError as exc:
            raise self._given_up(exc, asked) from exc
        finally:
            self._in_use.discard(conn)
            try:
                await source.release(conn, timeout=_RELEASE_SECONDS)
            except _AWAY:
                log.debug("database.release_failed")
            except asyncio.CancelledError as exc:
                if cancels_asked() > asked:
                    raise
                log.debug("database.release_failed", extra={"error": repr(exc)})

    @asynccontextmanager
    async def statement(self, until: datetime, pool: Pool = Pool.API) -> AsyncIterator[Connection]:
        """A connection for a statement that writes and is a transaction of its own: it commits as it ends.

        Spares the two round trips around it. Of several one after another only the last may have written.

        Args:
            until: By the database's clock: the statement does nothing if it hasn't begun by then. It holds no lock
                while it is on its way, so that only time tells whether it still may be.
            pool: Whose.

        Raises:
            OutcomeUnknownError: The link broke after it was sent.
            ServiceUnavailableError: As `connection`; nothing was written.
        """
        async with self.connection(pool) as conn:
            asked = cancels_asked()
            try:
                yield conn
            except _REFUSED:
                raise
            except _AWAY as exc:
                raise outcome_unknown(until) from exc
            except asyncio.CancelledError as exc:
                if cancels_asked() > asked:
                    raise
                raise outcome_unknown(until) from exc

    @asynccontextmanager
    async def transaction(
        self,
        pool: Pool = Pool.API,
        *,
        customer_id: str | None = None,
        wait_seconds: float = 2.0,
        lock_seconds: float | None = None,
    ) -> AsyncIterator[Connection]:
        """A connection inside one transaction; commits at the end of the block.

        Args:
            pool: Whose.
            customer_id: The only customer that it sees, if one is given.
            wait_seconds: For a connection to come free.
            lock_seconds: How long each lock is waited for; None for what holds for all (5 s).

        Raises:
            OutcomeUnknownError: The link broke while committing.
            ServiceUnavailableError: As `connection`; nothing was committed.
        """
        async with self.connection(pool, customer_id=customer_id, wait_seconds=wait_seconds) as conn:
            transaction = conn.transaction()
            await transaction.start()
            try:
                if lock_seconds is not None:
                    await _limit_locks(conn, milliseconds=str(max(1, round(lock_seconds * 1000))))
                yield conn
            except BaseException:
                if not _is_cut(conn):
                    try:
                        async with asyncio.timeout(_RELEASE_SECONDS):
                            await transaction.rollback()
                    except _AWAY:
                        log.debug("database.rollback_failed")
                        if not _is_cut(conn):
                            conn.terminate()
                raise
            asked = cancels_asked()
            try:
                await transaction.commit()
            except _AWAY as exc:
                raise outcome_unknown() from exc
            except asyncio.CancelledError as exc:
                if cancels_asked() > asked:
                    raise
                raise outcome_unknown() from exc

    def _given_up(self, exc: asyncio.CancelledError, asked: int) -> BaseException:
        """What a cancel comes to: itself, or the loss of the connection when nobody asked for it."""
        return exc if cancels_asked() > asked else self._away(exc)

    def _away(self, exc: BaseException) -> ServiceUnavailableError:
        self.failures += 1
        log.warning("database.away", extra={"error": f"{type(exc).__name__}: {exc}"})
        return _away()
