"""Every query against the real schema: it can be prepared, and its columns are those of the value it becomes."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

import asyncpg
import pytest

from niyanta.domain.workload import WorkloadState
from niyanta.server.store.queries import Query, Reader, ReadQuery
from support.store_files import FILES, FOLDER

KINDS: dict[str, type] = {
    "bool": bool,
    "bytea": bytes,
    "date": date,
    "float8": float,
    "int4": int,
    "int8": int,
    "json": str,
    "name": str,
    "text": str,
    "text[]": list,
    "timestamptz": datetime,
}
"""What the driver makes of values of PostgreSQL's types."""


def test_every_file_has_a_module_and_every_query_a_use() -> None:
    assert {path.name for path in FOLDER.glob("*.sql")} == set(FILES)
    for name, queries in FILES.items():
        assert queries.unbound() == set(), f"{name} has queries that nothing uses"
        names = [query.name for query in queries.bound]
        assert len(set(names)) == len(names), f"{name} has queries that are bound twice"


@pytest.mark.parametrize("file_name", FILES)
async def test_columns_are_the_fields(database_url: str, file_name: str) -> None:
    conn = await asyncpg.connect(database_url)
    try:
        problems = [problem for query in FILES[file_name].bound for problem in await _problems(conn, query)]
    finally:
        await conn.close()
    assert problems == []


async def _problems(conn: asyncpg.Connection, query: Query) -> list[str]:
    columns = {a.name: KINDS.get(a.type.name) for a in (await conn.prepare(query.sql)).get_attributes()}
    if not isinstance(query, ReadQuery) or not isinstance(query.read, Reader):
        return []
    reader = query.read
    if not reader.columns:
        return [] if list(columns.values()) == [reader.kind] else [f"{query.name} gives {columns}"]
    if set(reader.columns) != set(columns):
        return [f"{query.name}: not both in the query and the value: {set(reader.columns) ^ set(columns)}"]
    hints = get_type_hints(reader.kind)
    return [
        f"{query.name}: {name} is {kind}"
        for name, kind in columns.items()
        if name not in reader.converted and kind not in _kinds_of(hints[name])
    ]


def _kinds_of(hint: Any) -> set[type]:
    options = (hint,) if get_origin(hint) in (None, list) else get_args(hint)
    kinds = [get_origin(option) or option for option in options]
    return {str if issubclass(kind, Enum) else kind for kind in kinds}


async def test_the_view_of_states_has_every_field_of_a_state(database_url: str) -> None:
    conn = await asyncpg.connect(database_url)
    try:
        columns = {a.name for a in (await conn.prepare("SELECT * FROM traced_workload_states")).get_attributes()}
    finally:
        await conn.close()
    assert set(get_type_hints(WorkloadState)) <= columns
