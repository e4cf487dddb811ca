"""What connections a database has before anybody asks for one."""

from __future__ import annotations

import pytest

from niyanta.server.store.database import Database, Pool
from support.store_rows import whole


@pytest.mark.parametrize(("in_passing", "at_first"), [(False, 1), (True, 0)])
async def test_for_a_moments_work_only_what_is_asked_for_is_opened(
    database_url: str, in_passing: bool, at_first: int
) -> None:
    database = await Database.open(database_url, in_passing=in_passing)
    try:
        assert {name: use.open for name, use in database.use().items()} == dict.fromkeys(Pool, at_first)
        for pool in Pool:
            async with database.connection(pool) as conn:
                assert await whole(conn).fetchval("SELECT current_setting('application_name')") == f"niyanta-{pool}"
            assert database.use()[pool].open == 1
    finally:
        await database.close()
