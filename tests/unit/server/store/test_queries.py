"""Rows become values by the names of their columns, and queries are bound as their file says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
import pytest

from niyanta.domain.workload import PausePhase, Status, WorkloadState
from niyanta.server.store.queries import Queries, Reader
from niyanta.server.store.states import FIXED_FIELDS, state_columns


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    colour: Colour
    other: Colour | None


@dataclass(frozen=True)
class Plain:
    name: str
    colour: Colour
    other: Colour | None


class Named(NamedTuple):
    name: str
    colour: Colour
    other: Colour | None


class Spy:
    """A connection that gives rows of its own, and keeps what it was asked."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = rows
        self.asked: list[tuple[Any, ...]] = []

    async def fetch(self, sql: str, *arguments: Any) -> Any:
        self.asked.append(arguments)
        return self.rows

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        return (await self.fetch(sql, *arguments) or [None])[0]


@pytest.mark.parametrize("kind", [Struct, Plain, Named])
def test_columns_find_their_fields_in_any_order(kind: Any) -> None:
    read = Reader(kind)
    found = read({"other": None, "more": 1, "colour": "blue", "name": "a"})  # type: ignore[arg-type]
    assert found == kind(name="a", colour=Colour.BLUE, other=None)
    assert found.colour is Colour.BLUE
    assert read({"other": "red", "colour": "red", "name": ""}).other is Colour.RED  # type: ignore[arg-type]


def test_a_row_without_a_column_or_with_an_unknown_word_is_an_error() -> None:
    for row in ({"name": "a", "colour": "red"}, {"name": "a", "colour": "green", "other": None}):
        with pytest.raises(KeyError):
            Reader(Struct)(row)  # type: ignore[arg-type]


def test_a_column_is_converted_where_that_is_asked_for() -> None:
    read = Reader(Struct, {"name": str.upper})
    assert read({"name": "a", "colour": "red", "other": None}).name == "A"  # type: ignore[arg-type]
    assert read.converted == {"name"}


def test_a_plain_type_is_the_first_column_and_one_field_is_enough_for_a_value() -> None:
    class One(NamedTuple):
        name: str | None

    assert Reader(int)([7]) == 7  # type: ignore[arg-type]
    assert Reader(One)({"name": None}) == (None,)  # type: ignore[arg-type]


def test_a_query_is_bound_for_as_many_rows_as_its_file_says() -> None:
    queries = Queries("lease.sql")
    for bind in (queries.one, queries.many):
        with pytest.raises(ValueError, match="number of rows"):
            bind("give_up", int)
    with pytest.raises(ValueError, match="number of rows"):
        queries.run("take")
    with pytest.raises(AttributeError):
        queries.run("no_such_query")
    queries.one("take", int)
    assert queries.unbound() == {"renew", "give_up", "current"}


async def test_parameters_go_in_the_querys_order_and_none_too_many() -> None:
    take = Queries("lease.sql").one("take", int)
    spy = Spy()
    assert await take(spy, lease_seconds=5, holder="c1") is None  # type: ignore[arg-type]
    assert spy.asked == [("c1", 5)]
    with pytest.raises(TypeError, match="takes"):
        await take(spy, lease_seconds=5, holder="c1", epoch=1)  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        await take(spy, lease_seconds=5, epoch=1)  # type: ignore[arg-type]


def test_a_state_is_read_and_written_field_by_field() -> None:
    state = WorkloadState(
        "cust_a", "wl_1", "t", Status.RUNNING, scheduled_from=Status.PENDING, pause_phase=PausePhase.REQUESTED
    )
    row = {name: getattr(state, name) for name in WorkloadState.__dataclass_fields__}
    stored = {name: value.value if isinstance(value, StrEnum) else value for name, value in row.items()}
    assert Reader(WorkloadState)(stored) == state  # type: ignore[arg-type]
    other = state.but(retry_count=3, error_message="e")
    columns = state_columns([state, other])
    assert set(columns) == set(row) - set(FIXED_FIELDS)
    defaults = {field.name: field.default for field in fields(WorkloadState)}
    for name, column in columns.items():
        values = [getattr(state, name), getattr(other, name)]
        assert column == (None if values == [defaults[name]] * 2 else values), name
