"""The connection pool, and the one place where driver errors become ours.

Two pools: ``api`` for requests of customers, ``vital`` for what keeps the system alive (lease, heartbeats,
events, assignments), so that a flood of the first can never starve the second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from niyanta.errors import ConfigurationError, ServiceUnavailableError
from niyanta.server.store.queries import Connection

__all__ = ["Database", "OutcomeUnknownError", "RetryableConflict"]

log = logging.getLogger(__name__)

_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    OSError,
    TimeoutError,
)


class OutcomeUnknownError(ServiceUnavailableError):
    """The connection broke around a COMMIT: whether it happened must be found out by reading."""


class RetryableConflict(Exception):
    """PostgreSQL broke a deadlock or refused a serialization: the transaction did nothing, run it again."""


class _PoolConnection(asyncpg.Connection):
    """A connection that needs no clean-up between two holders: nothing here changes a session's state."""

    def get_reset_query(self) -> str:
        """None, which saves a round trip at each release."""
        return ""


class Database:
    """Both pools of one process."""

    def __init__(self, api: asyncpg.Pool[Any], vital: asyncpg.Pool[Any]) -> None:
        self._pools = {"api": api, "vital": vital}
        self.failures = 0
        """Times that PostgreSQL was found away; the monitor's brake looks at it."""

    @classmethod
    async def open(cls, url: str, *, api_connections: int = 8, vital_connections: int = 6) -> Database:
        """Connect.

        Raises:
            ConfigurationError: Nothing answers at the URL, it refuses the credentials, or it doesn't
                keep what it acknowledges (``fsync`` or ``synchronous_commit`` off).
        """
        try:
            pools = [
                await asyncpg.create_pool(
                    url,
                    min_size=1,
                    max_size=size,
                    command_timeout=15,
                    timeout=5,
                    max_inactive_connection_lifetime=0,
                    connection_class=_PoolConnection,
                    server_settings={
                        "application_name": f"niyanta-{name}",
                        "statement_timeout": "10000",
                        "lock_timeout": "5000",
                        "idle_in_transaction_session_timeout": "15000",
                        "jit": "off",
                        "TimeZone": "UTC",
                        "plan_cache_mode": "force_generic_plan",
                    },
                )
                for name, size in (("api", api_connections), ("vital", vital_connections))
            ]
        except (OSError, TimeoutError) as exc:
            raise ConfigurationError(
                f"cannot reach the database: {str(exc) or 'time-out'}. "
                "Is PostgreSQL running there, and is the URL right?"
            ) from exc
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as exc:
            raise ConfigurationError(f"the database refused: {exc}") from exc
        database = cls(pools[0], pools[1])
        async with database.connection() as conn:
            row = await conn.fetchrow(
                "SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS sc"
            )
        if row["fsync"] != "on" or row["sc"] == "off":
            await database.close()
            raise ConfigurationError(
                "the database runs with fsync or synchronous_commit off: it would lose what it has "
                "acknowledged. Set both to on."
            )
        return database

    async def close(self) -> None:
        """Close both pools; connections still busy after five seconds are cut."""
        for pool in self._pools.values():
            try:
                async with asyncio.timeout(5):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    @asynccontextmanager
    async def connection(self, pool: str = "api", *, wait_seconds: float = 2.0) -> AsyncIterator[Connection]:
        """A connection in autocommit mode, with driver errors mapped.

        Raises:
            ServiceUnavailableError: PostgreSQL is away or too slow, or no connection came free in time.
            RetryableConflict: Deadlock or serialization failure.
        """
        source = self._pools[pool]
        try:
            conn = await source.acquire(timeout=wait_seconds)
        except _AWAY as exc:
            raise self._away(exc) from exc
        try:
            yield conn
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as exc:
            raise RetryableConflict(str(exc)) from exc
        except asyncpg.QueryCanceledError as exc:
            raise self._away(exc) from exc
        except _AWAY as exc:
            raise self._away(exc) from exc
        finally:
            try:
                await source.release(conn)
            except _AWAY:
                log.debug("database.release_failed")

    @asynccontextmanager
    async def transaction(self, pool: str = "api", *, wait_seconds: float = 2.0) -> AsyncIterator[Connection]:
        """A connection inside one transaction; commits at the end of the block.

        Raises:
            OutcomeUnknownError: The link broke while committing.
            ServiceUnavailableError, RetryableConflict: As `connection`; nothing was committed.
        """
        async with self.connection(pool, wait_seconds=wait_seconds) as conn:
            transaction = conn.transaction()
            await transaction.start()
            try:
                yield conn
            except BaseException:
                if not conn.is_closed():
                    try:
                        await transaction.rollback()
                    except _AWAY:
                        log.debug("database.rollback_failed")
                raise
            try:
                await transaction.commit()
            except _AWAY as exc:
                self.failures += 1
                raise OutcomeUnknownError(
                    "The database went away while committing; whether it did is unknown",
                    retry_after_seconds=1,
                ) from exc

    def _away(self, exc: BaseException) -> ServiceUnavailableError:
        self.failures += 1
        log.warning("database.away", extra={"error": f"{type(exc).__name__}: {exc}"})
        return ServiceUnavailableError(
            "The database is away or too slow at the moment; try again",
            details={"dependency": "database"},
            retry_after_seconds=1,
        )
