"""What ``report_generation`` takes, gives and remembers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["DELIMITERS", "Figures", "Progress", "ReportParams", "ReportResult"]

DELIMITERS = (",", ";", "\t", "|", ":", " ")
ColumnName = Annotated[str, Meta(min_length=1, max_length=200)]


class ReportParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Addresses are absolute paths that every worker sees, ``file:///…`` or ``s3://bucket/key``."""

    csv_url: Annotated[str, Meta(min_length=1, max_length=2048, description="Text with a header line.")]
    group_by: Annotated[ColumnName, Meta(description="The column whose values make the groups.")]
    value_columns: Annotated[list[ColumnName], Meta(min_length=1, max_length=8, description="Columns to add up.")]
    date_column: (
        Annotated[ColumnName, Meta(description="ISO dates or times; adds a chart by month. Rows without are bad.")]
        | None
    ) = None
    output_url: (
        Annotated[str, Meta(min_length=1, max_length=2048, description="HTML; beside the CSV when absent.")] | None
    ) = None
    title: Annotated[str, Meta(max_length=200)] | None = None
    decimal_mark: Annotated[Literal[".", ","], Meta(description="Before the decimals of a number.")] = "."
    encoding: Annotated[
        Literal["utf-8", "windows-1252", "iso-8859-1"], Meta(description="How the file's text is written.")
    ] = "utf-8"
    delimiter: Annotated[Literal[",", ";", "\t", "|", ":", " "], Meta(description="Between two fields.")] = ","
    top: Annotated[int, Meta(ge=1, le=1000, description="Groups that the tables and charts show.")] = 20
    chunk_mb: Annotated[int, Meta(ge=1, le=1024, description="A checkpoint after this much of the file.")] = 32


class Figures(msgspec.Struct, array_like=True):
    """Of one column in one group. Decimal numbers as text: exact, whatever the order and the interruptions."""

    sum: str
    smallest: str
    largest: str


class Progress(msgspec.Struct):
    """The checkpoint: where to read on, and all that was counted before."""

    source: str
    """The file's version; a file that changed meanwhile begins anew."""
    header: list[str] = []
    offset: int = 0
    """First byte not yet read; always the beginning of a record."""
    line: int = 0
    rows: int = 0
    bad: dict[str, int] = {}
    """Bad rows by reason."""
    bad_examples: list[tuple[int, str]] = []
    """Line number and reason of the first few."""
    groups: dict[str, tuple[int, list[Figures]]] = {}
    """Rows and figures of each group."""
    months: dict[str, list[str]] = {}
    """Sums of each month (2025-10)."""
    result: ReportResult | None = None


class ReportResult(msgspec.Struct):
    """The workload's result: where the report lies, and what was read for it."""

    output_url: str
    rows: int
    bad_rows: int
    bad_reasons: dict[str, int]
    """Why rows were left out, and how many."""
    bad_examples: list[dict[str, int | str]]
    """Line and reason of the first twenty."""
    groups: int
    totals: dict[str, float]
    exact_totals: dict[str, str]
    """The same as decimal numbers: JSON's are rounded beyond 15 digits."""
    size_bytes: int
