"""A credential is ended at the moment at which something else becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from niyanta.domain.customers import Scope
from niyanta.domain.limits import MAX_TOKENS_PER_KEY
from niyanta.server.store.api_keys import ApiKeyStore
from niyanta.server.store.database import Database
from niyanta.server.store.sessions import SessionStore

_TOKENS = """INSERT INTO api_keys (customer_id, key_id, key_sha256, name, role, expires_at, made_of)
             SELECT 'cust_a', 'tok_' || n, sha256(n::text::bytea), 'x', 'customer', now() + interval '1 hour', $1
               FROM generate_series(1, $2) n"""
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%api_keys%'"
_ENDS = "SELECT coalesce(revoked_at, expires_at) FROM api_keys WHERE key_id = 'tok_1'"


@pytest.fixture
async def keys(database: Database, conn: asyncpg.Connection) -> ApiKeyStore:
    return ApiKeyStore(database)


@asynccontextmanager
async def _while_tokens_are_made(
    database_url: str, key_id: str, count: int, other: Coroutine[Any, Any, Any]
) -> AsyncIterator[asyncpg.Connection]:
    """Tokens are made of a key, as `create_token` does, and something else has begun when they are committed."""
    maker, watch = [await asyncpg.connect(database_url) for _ in range(2)]
    try:
        async with maker.transaction():
            await maker.execute("SELECT FROM api_keys WHERE key_id = $1 FOR UPDATE", key_id)
            await maker.execute(_TOKENS, key_id, count)
            task = asyncio.create_task(other)
            async with asyncio.timeout(20):
                while not await watch.fetchval(_WAITING):
                    await asyncio.sleep(0.005)
        await task
        yield watch
    finally:
        await maker.close()
        await watch.close()


async def test_a_token_that_is_made_while_its_key_is_revoked_ends_with_it(
    database_url: str, keys: ApiKeyStore
) -> None:
    key, _ = await keys.create_key("cust_a", "test")
    async with _while_tokens_are_made(database_url, key.key_id, 1, keys.revoke_key(key.key_id)) as conn:
        ends: datetime = await conn.fetchval(_ENDS)
        assert ends <= await conn.fetchval("SELECT now()")


async def test_a_token_that_is_made_while_its_key_is_replaced_ends_with_it(
    database_url: str, keys: ApiKeyStore
) -> None:
    key, _ = await keys.create_key("cust_a", "test")
    replacing = keys.succeed_key("cust_a", key.key_id, 60)
    async with _while_tokens_are_made(database_url, key.key_id, 1, replacing) as conn:
        ends: datetime = await conn.fetchval(_ENDS)
        assert ends <= await conn.fetchval("SELECT expires_at FROM api_keys WHERE key_id = $1", key.key_id)


async def test_tokens_that_are_made_at_once_are_no_more_than_there_may_be(
    database_url: str, keys: ApiKeyStore
) -> None:
    key, _ = await keys.create_key("cust_a", "test")
    one_more = keys.create_token("cust_a", key.key_id, [Scope.WORKLOADS_READ], None, 60)
    async with _while_tokens_are_made(database_url, key.key_id, MAX_TOKENS_PER_KEY, one_more):
        assert len(await keys.tokens("cust_a", 10 * MAX_TOKENS_PER_KEY)) == MAX_TOKENS_PER_KEY


async def test_a_session_that_is_ended_while_it_is_about_to_be_forgotten_stays_ended(
    database_url: str, database: Database, conn: asyncpg.Connection
) -> None:
    """Its tokens may be good for longer than any that was seen."""
    await conn.execute(
        """INSERT INTO sign_ins (session_id, customer_id, subject, last_used_from, last_used_at, expires_at)
           SELECT 'jwt_' || n, 'cust_a', n::text, '::1', at, at
             FROM generate_series(1, 2) n, (SELECT now() - interval '31 days' AS at) t"""
    )
    operator = await asyncpg.connect(database_url)
    try:
        async with operator.transaction():
            await operator.execute("UPDATE sign_ins SET revoked_at = now() WHERE session_id = 'jwt_1'")
            forgetting = asyncio.create_task(SessionStore(database).forget(10))
            async with asyncio.timeout(20):
                while not forgetting.done() and not await conn.fetchval(_WAITING.replace("api_keys", "sign_ins")):
                    await asyncio.sleep(0.005)
        assert await forgetting == 1
        left = await conn.fetch("SELECT session_id, revoked_at IS NOT NULL AS is_ended FROM sign_ins")
        assert [tuple(row) for row in left] == [("jwt_1", True)]
    finally:
        await operator.close()
