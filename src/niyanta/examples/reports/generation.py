"""The workload type ``report_generation``: read on from a byte, add up, write a page.

The checkpoint holds the byte at which to read on and everything that was counted before it, so that a run which was
interrupted anywhere gives the same figures as one that wasn't.
"""

from __future__ import annotations

from typing import BinaryIO

import msgspec

from niyanta.errors import PermanentError
from niyanta.examples.reports.counting import Counts
from niyanta.examples.reports.page import render, totals_of
from niyanta.examples.reports.parameters import Progress, ReportParams, ReportResult
from niyanta.examples.reports.reading import RecordReader
from niyanta.examples.storage import Entry, Place, locate
from niyanta.worker import SyncContext

__all__ = ["generate"]

_LOOK_EVERY_ROWS = 5_000
_READING_PERCENT = 98.0


def generate(ctx: SyncContext, params: ReportParams) -> ReportResult:
    """Carry on from the checkpoint, or begin."""
    source = locate(params.csv_url, "csv_url")
    output = _output(source, params)
    entry = source.describe()
    progress = _carried_on(ctx, entry)
    if progress.result is None:
        with source.open() as file:
            progress = _read(ctx, params, file, entry, progress)
        page = render(params, source.name, progress).encode()
        with output.writing(ctx.work_dir) as path:
            path.write_bytes(page)
        progress.result = ReportResult(
            output_url=output.url,
            rows=progress.rows,
            bad_rows=sum(progress.bad.values()),
            groups=len(progress.groups),
            totals={name: float(total) for name, total in totals_of(params, progress).items()},
            size_bytes=len(page),
        )
    return progress.result


def _output(source: Place, params: ReportParams) -> Place:
    if params.output_url is not None:
        output = locate(params.output_url, "output_url")
    else:
        output = source.beside(f"{source.name.rpartition('.')[0] or source.name}-report.html")
    if output.url == source.url:
        raise PermanentError(f"output_url: {output.url} is the CSV file itself; name another file")
    return output


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
    reader = RecordReader(file, params.delimiter, progress.offset, progress.line)
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
            ctx.save_checkpoint(msgspec.to_builtins(counts.to_progress(reader.offset, reader.line)))
    return counts.to_progress(reader.offset, reader.line)


def _read_header(file: BinaryIO, params: ReportParams, progress: Progress) -> None:
    reader = RecordReader(file, params.delimiter)
    header = next(iter(reader), None)
    if not isinstance(header, list):
        raise PermanentError(f"csv_url: {params.csv_url} has no header line: {header or 'it is empty'}")
    progress.header = [name.strip() for name in header]
    progress.offset, progress.line = reader.offset, reader.line
