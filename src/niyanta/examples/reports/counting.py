"""Adding up: exact decimal sums per group and per month."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Iterable, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation

from niyanta.errors import PermanentError
from niyanta.examples.reports.parameters import DELIMITERS, Figures, Progress, ReportParams

__all__ = [
    "COMMA",
    "IMPOSSIBLE_DATE",
    "NO_DATE",
    "NO_NUMBER",
    "POINT",
    "WRONG_FIELDS",
    "Counts",
    "exact_sum",
]

_MOST_CELLS = 50_000  # groups times columns; keeps the checkpoint under its limit
_MOST_NAME_CHARACTERS = 200
_MOST_EXAMPLES = 20
_MOST_DIGITS = 30
_DATE = re.compile(
    r"(?P<month>[0-9]{4}-[0-9]{2})(-(?P<day>[0-9]{2})([T ](?P<time>[0-9]{2}:[0-9]{2}(:[0-9]{2})?)(?P<rest>.*))?)?"
)
_ZONE = re.compile(r".*[+-](2[4-9]|[3-9][0-9]|[0-9]{2}:?[6-9][0-9])[0-9:]*")
"""What no clock's distance from that of Greenwich can be."""
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:([0-5][0-9]|60))?|24:00(:00)?")

# Enough for any sum of numbers that are taken: none is rounded.
_exact = Context(prec=100, traps=[Inexact, InvalidOperation])
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?(1[0-5]|0?[0-9]))?")
_ANY_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

WRONG_FIELDS = "wrong number of fields"
NO_NUMBER = "not a number"
TOO_LONG = "a number that is too large or has too many digits"
COMMA = "a comma in a number"
POINT = "a point in a number"
NO_DATE = "not an ISO date"
IMPOSSIBLE_DATE = "a date that doesn't exist"
NAME_TOO_LONG = "the group's name is too long"


class _Column:
    __slots__ = ("largest", "smallest", "sum")

    def __init__(self, sum_: Decimal, smallest: Decimal, largest: Decimal) -> None:
        self.sum = sum_
        self.smallest = smallest
        self.largest = largest

    def add(self, value: Decimal) -> None:
        self.sum = _exact.add(self.sum, value)
        if value < self.smallest:
            self.smallest = value
        elif value > self.largest:
            self.largest = value


class _Group:
    __slots__ = ("columns", "rows")

    def __init__(self, rows: int, columns: list[_Column]) -> None:
        self.rows = rows
        self.columns = columns


class _BadRowError(Exception):
    """The reason why a row isn't counted."""


class Counts:
    """What the rows so far add up to."""

    def __init__(self, params: ReportParams, progress: Progress) -> None:
        self.progress = progress
        header = progress.header
        self._fields = len(header)
        self._group_at = _position(header, params.group_by, "group_by")
        self._value_at = [_position(header, name, "value_columns") for name in params.value_columns]
        self._decimal_mark = params.decimal_mark
        self._date_at = _position(header, params.date_column, "date_column") if params.date_column else None
        self._groups = {
            name: _Group(rows, [_Column(Decimal(f.sum), Decimal(f.smallest), Decimal(f.largest)) for f in figures])
            for name, (rows, figures) in progress.groups.items()
        }
        self._months = {name: [Decimal(text) for text in sums] for name, sums in progress.months.items()}

    def add(self, fields: list[str], line: int) -> None:
        """Count a record; a bad one is counted by its reason."""
        try:
            if len(fields) != self._fields:
                raise _BadRowError(WRONG_FIELDS)
            values = [_number(fields[at].strip(), self._decimal_mark) for at in self._value_at]
            name = fields[self._group_at]
            if len(name) > _MOST_NAME_CHARACTERS:
                raise _BadRowError(NAME_TOO_LONG)
            month = None if self._date_at is None else _month(fields[self._date_at].strip())
        except _BadRowError as exc:
            self.refuse(str(exc), line)
            return
        if month is not None:
            self._add_to_month(month, values)
        self.progress.rows += 1
        group = self._groups.get(name)
        if group is None:
            self._new_group(name, values)
            return
        group.rows += 1
        for column, value in zip(group.columns, values, strict=True):
            column.add(value)

    def refuse(self, reason: str, line: int) -> None:
        """Count a bad row."""
        self.progress.bad[reason] = self.progress.bad.get(reason, 0) + 1
        if len(self.progress.bad_examples) < _MOST_EXAMPLES:
            self.progress.bad_examples.append((line, reason))

    def _new_group(self, name: str, values: Sequence[Decimal]) -> None:
        if (len(self._groups) + 1) * len(values) > _MOST_CELLS:
            raise PermanentError(
                f"group_by: more than {len(self._groups)} different groups; choose a column with fewer values"
            )
        self._groups[name] = _Group(1, [_Column(value, value, value) for value in values])

    def _add_to_month(self, month: str, values: Sequence[Decimal]) -> None:
        sums = self._months.get(month)
        if sums is None:
            self._months[month] = list(values)
        else:
            self._months[month] = [_exact.add(total, value) for total, value in zip(sums, values, strict=True)]

    def to_progress(self, offset: int, line: int) -> Progress:
        """The checkpoint at a record's end."""
        self.progress.offset, self.progress.line = offset, line
        self.progress.groups = {
            name: (
                group.rows,
                [Figures(str(c.sum), str(c.smallest), str(c.largest)) for c in group.columns],
            )
            for name, group in self._groups.items()
        }
        self.progress.months = {name: [str(total) for total in sums] for name, sums in self._months.items()}
        return self.progress


def exact_sum(values: Iterable[Decimal]) -> Decimal:
    """The sum without any rounding."""
    total = Decimal(0)
    for value in values:
        total = _exact.add(total, value)
    return total


def _number(text: str, decimal_mark: str) -> Decimal:
    if decimal_mark == ",":
        if "." in text:
            raise _BadRowError(POINT)
        text = text.replace(",", ".")
    if len(text) <= _MOST_DIGITS and _NUMBER.fullmatch(text):
        return Decimal(text)
    if _ANY_NUMBER.fullmatch(text):
        raise _BadRowError(TOO_LONG)
    raise _BadRowError(COMMA if "," in text and _NUMBER.fullmatch(text.replace(",", "")) else NO_NUMBER)


@functools.lru_cache(10_000)
def _month(text: str) -> str:
    """The month of a date (2025-10-27, with or without a time) or of itself (2025-10)."""
    found = _DATE.fullmatch(text)
    if found is None:
        raise _BadRowError(NO_DATE)
    try:
        datetime.date.fromisoformat(f"{found['month']}-{found['day'] or '01'}")
    except ValueError:
        raise _BadRowError(IMPOSSIBLE_DATE) from None
    if found["time"] is not None and (not _TIME.fullmatch(found["time"]) or _ZONE.fullmatch(found["rest"])):
        raise _BadRowError(IMPOSSIBLE_DATE)
    return found["month"]


def _position(header: Sequence[str], name: str, field: str) -> int:
    """Where a column stands.

    Raises:
        PermanentError: There is none of this name, or more than one.
    """
    if header.count(name) > 1:
        raise PermanentError(f"{field}: the file has {header.count(name)} columns '{name}'; rename all but one")
    if name in header:
        return header.index(name)
    other = next((d for d in DELIMITERS if len(header) == 1 and name in header[0].split(d)), None)
    hint = f"; set delimiter to {other!r}?" if other else ""
    columns = ", ".join(header[:50])
    raise PermanentError(f"{field}: the file has no column '{name}'; it has {columns}{hint}")
