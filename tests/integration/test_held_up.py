"""Customers whose rows somebody holds are found without waiting, left alone for longer and longer, and taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from niyanta.domain.workload import Key
from niyanta.server.moves.held_up import HeldUp
from niyanta.server.store.database import Database
from support.store_rows import add_customer, add_workloads


@pytest.fixture
async def hung(database_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    conn = await asyncpg.connect(database_url)
    for customer_id in ("cust_a", "cust_b", "cust_c"):
        await add_customer(conn, customer_id)
    await add_workloads(conn, "cust_c", 2)
    yield conn
    await conn.close()


async def test_it_is_told_apart_whose_rows_are_locked(database: Database, hung: asyncpg.Connection[Any]) -> None:
    now = [0.0]
    looked_at: list[float] = []

    class Watched(HeldUp):
        async def look(self, keys: Iterable[Key]) -> frozenset[str]:
            looked_at.append(now[0])
            return await super().look(keys)

    held_up = Watched(database, lambda: now[0])
    ids = [row["workload_id"] for row in await hung.fetch("SELECT workload_id FROM workloads ORDER BY 1")]
    keys = [("cust_a", ""), ("cust_b", "wl_unknown"), ("cust_c", ids[0]), ("cust_unknown", "wl_1")]
    assert await held_up.among(keys) == set()
    async with hung.transaction():
        await hung.execute("SELECT FROM customer_usage WHERE customer_id = 'cust_a' FOR NO KEY UPDATE")
        await hung.execute("SELECT FROM workloads WHERE workload_id = $1 FOR NO KEY UPDATE", ids[0])
        assert await held_up.look(keys) == {"cust_a", "cust_c"}
        assert await held_up.look([("cust_c", ids[1])]) == set()  # another of its workloads is free
        del looked_at[:-1]
        while now[0] < 10:
            assert await held_up.among(keys[:1]) == {"cust_a"}
            now[0] = round(now[0] + 0.1, 1)
    pauses = [second - first for first, second in pairwise(looked_at)]
    assert pauses[:6] == pytest.approx([0.2, 0.4, 0.8, 1.6, 2.0, 2.0], abs=0.11)
    now[0] += 2.0
    assert await held_up.among(keys) == set()
