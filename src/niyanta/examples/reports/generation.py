"""The workload type ``report_generation``: read on from a byte, add up, write a page.

The checkpoint holds the byte at which to read on and everything that was counted before it, so that a run which was
interrupted anywhere gives the same figures as one that wasn't.
"""

from __future__ import annotations

import re
from typing import BinaryIO

import msgspec

from niyanta.errors import PermanentError
from niyanta.examples.reports.counting import (
    COMMA,
    IMPOSSIBLE_DATE,
    NO_DATE,
    NO_NUMBER,
    POINT,
    WRONG_FIELDS,
    Counts,
)
from niyanta.examples.reports.page import render, totals_of
from niyanta.examples.reports.parameters import Progress, ReportParams, ReportResult
from niyanta.examples.reports.reading import RecordReader
from niyanta.examples.storage import Allowed, Entry, Place, locate
from niyanta.worker import SyncContext

__all__ = ["generate"]

_LOOK_EVERY_ROWS = 5_000
_READING_PERCENT = 98.0
_SEPARATOR = re.compile(rb'(?:\xef\xbb\xbf)?"?sep=(?P<delimiter>[,;\t|: ])"?(?:\r\n|\r|\n)', re.IGNORECASE)
_MOST_SEPARATOR_BYTES = 16
_OTHER_KINDS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"PK\x03\x04": "an Excel or ZIP file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF file",
    b"SQLite format 3": "a database",
    b"\xfd7zXZ\0": "an xz file",
    b"BZh91AY&SY": "a bzip2 file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip file",
    b"PAR1\x15": "a Parquet file",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}
_ADVICE = {
    COMMA: ("decimal_mark", ". If these are decimal commas, set decimal_mark to ','"),
    POINT: ("decimal_mark", ". If these are decimal points, set decimal_mark to '.'"),
    NO_NUMBER: ("value_columns", ""),
    NO_DATE: ("date_column", ". Dates must look like 2025-10-27"),
    IMPOSSIBLE_DATE: ("date_column", ""),
    WRONG_FIELDS: ("delimiter", ""),
    "not UTF-8": ("encoding", ". Files of older Windows programs are windows-1252"),
}
"""The parameter that is probably wrong when no row is right, and what to do."""


def generate(ctx: SyncContext, params: ReportParams) -> ReportResult:
    """Carry on from the checkpoint, or begin."""
    allowed = Allowed.for_attempt(ctx)
    source = locate(params.csv_url, "csv_url", allowed)
    output = _output(source, params, allowed)
    entry = source.describe()
    progress = _carried_on(ctx, entry)
    if progress.result is None:
        with source.open() as file:
            progress = _read(ctx, params, file, entry, progress)
        _refuse_nothing(progress)
        page = render(params, source.name, progress).encode()
        with output.writing(ctx.work_dir) as path:
            path.write_bytes(page)
        totals = totals_of(params, progress)
        progress.result = ReportResult(
            output_url=output.url,
            rows=progress.rows,
            bad_rows=sum(progress.bad.values()),
            bad_reasons=progress.bad,
            bad_examples=[{"line": line, "reason": reason} for line, reason in progress.bad_examples],
            groups=len(progress.groups),
            totals={name: float(total) for name, total in totals.items()},
            exact_totals={name: f"{total:f}" for name, total in totals.items()},
            size_bytes=len(page),
        )
    return progress.result


def _output(source: Place, params: ReportParams, allowed: Allowed) -> Place:
    if params.output_url is not None:
        output = locate(params.output_url, "output_url", allowed)
    else:
        output = source.beside(f"{source.name.rpartition('.')[0] or source.name}-report.html")
    if source.contains(output):
        raise PermanentError(f"output_url: {output.url} is the CSV file itself; name another file")
    return output


def _refuse_other_kinds(file: BinaryIO, params: ReportParams) -> None:
    """Name what is often called CSV and isn't."""
    file.seek(0)
    head = file.read(16)
    what = next((what for magic, what in _OTHER_KINDS.items() if head.startswith(magic)), None)
    if what is not None:
        raise PermanentError(f"csv_url: {params.csv_url} is {what}; save it as CSV in UTF-8")
    if head.startswith(b"\xef\xbb\xbf") and params.encoding != "utf-8":
        raise PermanentError(f"encoding: {params.csv_url} says itself that it is UTF-8")


def _refuse_nothing(progress: Progress) -> None:
    """A report without a single row is of no use to anybody: say what is wrong instead."""
    if progress.rows or not progress.bad:
        return
    ranked = sorted(progress.bad.items(), key=lambda item: -item[1])
    field, advice = _ADVICE.get(ranked[0][0], ("csv_url", ""))
    reasons = ", ".join(f"{reason} ({count:,})" for reason, count in ranked[:5])
    raise PermanentError(
        f"{field}: none of the {sum(progress.bad.values()):,} rows could be counted: {reasons}; "
        f"the first is in line {progress.bad_examples[0][0]:,}{advice}"
    )


def _carried_on(ctx: SyncContext, entry: Entry) -> Progress:
    if ctx.checkpoint is None:
        return Progress(entry.version)
    progress = msgspec.convert(ctx.checkpoint, Progress)
    if progress.source != entry.version:
        ctx.log.warning("the file has changed since the last attempt: beginning anew")
        return Progress(entry.version)
    return progress


def _read(ctx: SyncContext, params: ReportParams, file: BinaryIO, entry: Entry, progress: Progress) -> Progress:
    if not progress.header:
        _read_header(file, params, progress)
    counts = Counts(params, progress)
    reader = RecordReader(file, params.delimiter, progress.offset, progress.line, params.encoding)
    chunk_bytes = params.chunk_mb << 20
    save_at = reader.offset - reader.offset % chunk_bytes + chunk_bytes
    look_in = _LOOK_EVERY_ROWS
    for record in reader:
        if isinstance(record, str):
            counts.refuse(record, reader.line)
        else:
            counts.add(record, reader.line)
        look_in -= 1
        if look_in and reader.offset < save_at:
            continue
        look_in = _LOOK_EVERY_ROWS
        percent = _READING_PERCENT * reader.offset / max(1, entry.size_bytes)
        ctx.report_progress(percent, f"Reading row {progress.rows:,}")
        if reader.offset >= save_at or ctx.checkpoint_due:
            save_at = reader.offset - reader.offset % chunk_bytes + chunk_bytes
            state = msgspec.json.encode(counts.to_progress(reader.offset, reader.line))
            ctx.save_checkpoint(msgspec.json.decode(state))  # has lists for tuples, as a state must
    return counts.to_progress(reader.offset, reader.line)


def _read_header(file: BinaryIO, params: ReportParams, progress: Progress) -> None:
    _refuse_other_kinds(file, params)
    reader = RecordReader(file, params.delimiter, *_behind_separator(file, params), params.encoding)
    header = next(iter(reader), None)
    if not isinstance(header, list):
        raise PermanentError(f"csv_url: {params.csv_url} has no header line: {header or 'it is empty'}")
    if any("\0" in name for name in header):
        raise PermanentError(f"csv_url: {params.csv_url} is UTF-16 or no text; save it as UTF-8")
    progress.header = [name.strip() for name in header]
    progress.offset, progress.line = reader.offset, reader.line


def _behind_separator(file: BinaryIO, params: ReportParams) -> tuple[int, int]:
    """Bytes and lines before the header: those of a line ``sep=;``, with which spreadsheets name their delimiter.

    Raises:
        PermanentError: It names another one.
    """
    file.seek(0)
    found = _SEPARATOR.match(file.read(_MOST_SEPARATOR_BYTES))
    file.seek(0)
    if found is None:
        return 0, 0
    if (delimiter := found["delimiter"].decode()) != params.delimiter:
        raise PermanentError(f"delimiter: {params.csv_url} says in its first line that it is {delimiter!r}")
    return found.end(), 1
