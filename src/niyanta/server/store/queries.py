"""Named queries from ``.sql`` files, and how their rows become values.

A query is bound once, at import, to the kind of value that its rows are: `Queries.many`, `one`, `sole` and `run`.
Columns are read by name, so neither their order in the query nor the order of the fields matters, and what the driver
gives never leaves this package. That each query has the columns its value needs is tested against the real schema.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from enum import Enum
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, TypeVar, get_args, get_type_hints

import aiosql
import asyncpg
from aiosql.types import SQLOperationType

__all__ = [
    "Connection",
    "Execute",
    "Many",
    "One",
    "Queries",
    "Query",
    "ReadQuery",
    "Reader",
    "Row",
    "Sole",
    "Streamed",
    "milliseconds",
    "unless_all",
    "unless_nulls",
]

T = TypeVar("T")
Q = TypeVar("Q", bound="Query")

Row = asyncpg.Record
"""What the driver gives. Its values are of no known type; a `Reader` gives them the one that the field declares."""

_SCALARS: tuple[type, ...] = (bool, bytes, float, int, str)
_ROWS_AT_ONCE = 2000


class Transaction(Protocol):
    """A transaction, or a savepoint inside one; also an async context manager."""

    async def start(self) -> None: ...

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


class Connection(Protocol):
    """A connection to PostgreSQL, as far as the stores use it."""

    async def fetch(self, query: str, *args: Any) -> Sequence[Any]:
        """All rows."""

    async def fetchrow(self, query: str, *args: Any) -> Any:
        """The first row, or None."""

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement; gives the command's tag."""

    def transaction(
        self, *, isolation: Literal["repeatable_read"] | None = None, readonly: bool = False
    ) -> Transaction:
        """One that hasn't begun."""

    def cursor(self, query: str, *args: Any, prefetch: int | None = None) -> AsyncIterable[Any]:
        """The rows one after another, so many of them fetched at once; inside a transaction."""

    def is_closed(self) -> bool:
        """Whether nothing can be sent over it any more."""

    def terminate(self) -> None:
        """Cut it, whatever is under way."""


class Reader(Generic[T]):
    """Makes values of one kind from rows.

    Args:
        kind: A struct, dataclass or named tuple, whose fields name the columns, an enum's value becoming its member;
            or a plain type, for the first column of a row.
        convert: What to make of the values of some columns before they become fields.
        make: Makes the value of all fields by name; the type itself when not given.

    Attributes:
        columns: Those that a row must have; none for a plain type.
        converted: Those whose values ``convert`` changes.
    """

    def __init__(
        self,
        kind: type[T],
        convert: dict[str, Callable[[Any], Any]] | None = None,
        make: Callable[[dict[str, Any]], T] | None = None,
    ) -> None:
        self.kind = kind
        self._make = make
        self.columns: tuple[str, ...] = ()
        self.converted = frozenset(convert or ())
        if kind in _SCALARS:
            return
        parameters = inspect.signature(kind).parameters
        self.columns = tuple(parameters)
        self._get: Callable[[Row], tuple[Any, ...]] = itemgetter(*self.columns)
        if len(self.columns) == 1:
            (only,) = self.columns
            self._get = lambda row: (row[only],)
        self._by_name = any(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters.values())
        hints = get_type_hints(kind)
        known = {name: found for name in self.columns if (found := _conversion(hints[name])) is not None}
        known |= convert or {}
        self._convert = [(self.columns.index(name), conversion) for name, conversion in known.items()]

    def __call__(self, row: Row) -> T:
        """One value.

        Raises:
            KeyError: The row lacks a column.
        """
        if not self.columns:
            scalar: T = row[0]
            return scalar
        found: Sequence[Any] = self._get(row)
        if self._convert:
            found = list(found)
            for place, conversion in self._convert:
                found[place] = conversion(found[place])
        if self._make is not None:
            return self._make(dict(zip(self.columns, found, strict=True)))
        if self._by_name:
            return self.kind(**dict(zip(self.columns, found, strict=True)))
        return self.kind(*found)


def _conversion(hint: Any) -> Callable[[Any], Any] | None:
    """From an enum's value to its member; None for what isn't an enum."""
    options = get_args(hint) or (hint,)
    members: dict[Any, Any] = {}
    for option in options:
        if isinstance(option, type) and issubclass(option, Enum):
            members |= {member.value: member for member in option}
    if not members:
        return None
    if type(None) in options:
        members[None] = None
    return members.__getitem__


class Query:
    """A query of a file.

    Attributes:
        name: In the file.
        sql: With numbered parameters.
    """

    operation = SQLOperationType.SELECT

    def __init__(self, name: str, sql: str, parameters: Sequence[str]) -> None:
        self.name = name
        self.sql = sql
        self._parameters = tuple(parameters)

    def _arguments(self, given: dict[str, Any]) -> list[Any]:
        if len(given) != len(self._parameters):
            raise TypeError(f"query {self.name} takes {self._parameters}, not {tuple(given)}")
        return [given[name] for name in self._parameters]


class ReadQuery(Query, Generic[T]):
    """A query that gives rows.

    Attributes:
        read: Makes a value of a row.
    """

    def __init__(self, name: str, sql: str, parameters: Sequence[str], read: Callable[[Row], T]) -> None:
        super().__init__(name, sql, parameters)
        self.read = read


class Many(ReadQuery[T]):
    """Gives any number of values."""

    async def __call__(self, conn: Connection, /, **parameters: Any) -> list[T]:
        """Run it."""
        return list(map(self.read, await conn.fetch(self.sql, *self._arguments(parameters))))


class Streamed(ReadQuery[T]):
    """Gives any number of values, read as they are asked for: for what there may be no room for in memory."""

    async def __call__(self, conn: Connection, /, **parameters: Any) -> AsyncIterator[T]:
        """Run it, inside a transaction."""
        async for row in conn.cursor(self.sql, *self._arguments(parameters), prefetch=_ROWS_AT_ONCE):
            yield self.read(row)


class One(ReadQuery[T | None], Generic[T]):
    """Gives a value, or None when there is none."""

    operation = SQLOperationType.SELECT_ONE

    async def __call__(self, conn: Connection, /, **parameters: Any) -> T | None:
        """Run it."""
        row = await conn.fetchrow(self.sql, *self._arguments(parameters))
        return None if row is None else self.read(row)


class Sole(ReadQuery[T]):
    """Gives the value that there always is, as of a count."""

    operation = SQLOperationType.SELECT_ONE

    async def __call__(self, conn: Connection, /, **parameters: Any) -> T:
        """Run it."""
        return self.read(await conn.fetchrow(self.sql, *self._arguments(parameters)))


class Execute(Query):
    """Gives nothing."""

    operation = SQLOperationType.INSERT_UPDATE_DELETE

    async def __call__(self, conn: Connection, /, **parameters: Any) -> None:
        """Run it."""
        await conn.execute(self.sql, *self._arguments(parameters))


class Queries:
    """The queries of a ``.sql`` file in this package.

    In the file ``name^`` stands for one row or none, ``name!`` for none, a plain ``name`` for any number.

    Attributes:
        file_name: Of the file.
        bound: The queries that are used.
    """

    def __init__(self, file_name: str) -> None:
        self.file_name = file_name
        self.bound: list[Query] = []
        self._file: Any = aiosql.from_path(Path(__file__).parent / file_name, "asyncpg", mandatory_parameters=False)

    def many(self, name: str, kind: type[T], read: Callable[[Row], T] | None = None) -> Many[T]:
        """Bind a query with any number of rows; ``read`` says how they are read when not by their names alone."""
        return self._bind(Many(*self._find(name), read or Reader(kind)))

    def stream(self, name: str, kind: type[T]) -> Streamed[T]:
        """Bind a query with more rows than are to be in memory."""
        return self._bind(Streamed(*self._find(name), Reader(kind)))

    def one(self, name: str, kind: type[T], read: Callable[[Row], T | None] | None = None) -> One[T]:
        """Bind a query with one row or none."""
        return self._bind(One(*self._find(name), read or Reader(kind)))

    def sole(self, name: str, kind: type[T], read: Callable[[Row], T] | None = None) -> Sole[T]:
        """Bind a query with one row always."""
        return self._bind(Sole(*self._find(name), read or Reader(kind)))

    def run(self, name: str) -> Execute:
        """Bind a query without rows."""
        return self._bind(Execute(*self._find(name)))

    def unbound(self) -> set[str]:
        """Names of queries that nothing uses."""
        names = (name for name in self._file.available_queries if not name.endswith("_cursor"))
        return set(names) - {query.name for query in self.bound}

    def _find(self, name: str) -> tuple[str, str, list[str]]:
        return name, getattr(self._file, name).sql, self._file.driver_adapter.var_sorted[name]

    def _bind(self, query: Q) -> Q:
        if getattr(self._file, query.name).operation is not query.operation:
            raise ValueError(f"{self.file_name}: {query.name} gives another number of rows")
        self.bound.append(query)
        return query


def milliseconds(seconds: float | None) -> str | None:
    """A time as PostgreSQL's settings take it, at least one millisecond; None stays None."""
    return None if seconds is None else str(max(1, round(seconds * 1000)))


def unless_all(default: object, column: list[T]) -> list[T] | None:
    """The array for ``unnest``, or NULL when nothing but a default is in it, which the statement fills in.

    Worth it on the path: the driver looks at each array, and each value of it, in Python.
    """
    return None if column.count(default) == len(column) else column  # type: ignore[arg-type]  # any value can be counted


def unless_nulls(column: list[T]) -> list[T] | None:
    """The array for ``unnest``, or NULL when it has nothing else in it: what is short is filled up with these."""
    return unless_all(None, column)
