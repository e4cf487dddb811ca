"""What connections a database has before anybody asks for one."""

from __future__ import annotations

import itertools

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


async def test_what_built_in_types_are_is_asked_once_for_all_connections(database_url: str) -> None:
    """The driver asks on each new connection, which takes the server as long as a whole request."""
    database = await Database.open(database_url, in_passing=True)
    asked: list[str] = []
    try:
        for pool, value in itertools.product(Pool, ([0.5], [1.5])):
            async with database.connection(pool) as conn:
                whole(conn).add_query_logger(lambda query: asked.append(query.query))
                assert await whole(conn).fetchval("SELECT $1::float8[]", value) == value
        assert len([query for query in asked if "typeinfo" in query]) <= 1, asked
        assert len(asked) >= 2 * len(Pool)
    finally:
        await database.close()


async def test_a_type_of_the_databases_own_is_asked_about_anew(database_url: str) -> None:
    database = await Database.open(database_url, in_passing=True)
    try:
        for labels in ("'a'", "'b', 'a'"):  # a number may be given to another type, in another database
            async with database.connection() as conn:
                owner = whole(conn)
                await owner.execute(f"CREATE TYPE mood AS ENUM ({labels})")
                assert (await owner.fetchval(f"SELECT array['a', {labels}]::mood[]"))[0] == "a"
                await owner.execute("DROP TYPE mood")
    finally:
        await database.close()
