"""A CSV file record by record, with the byte at which each begins, so that reading can go on from any of them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["RecordReader"]

_MOST_LINE_BYTES = 1 << 20


class RecordReader:
    """Yields records; memory doesn't grow with the file, whatever is in it.

    Attributes:
        offset: First byte after the last record.
        line: Lines before that byte.
    """

    def __init__(self, file: BinaryIO, delimiter: str, offset: int = 0, line: int = 0) -> None:
        self._file = file
        self._delimiter = delimiter
        self._undecodable = False
        self.offset = offset
        self.line = line

    def __iter__(self) -> Iterator[list[str] | str]:
        """Each record's fields, or the reason why it can't be read."""
        while True:
            begin, first_line = self.offset, self.line
            self._file.seek(begin)
            records = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
            try:
                while True:
                    begin, first_line = self.offset, self.line
                    self._undecodable = False
                    fields = next(records, None)
                    if fields is None:
                        return
                    if self._undecodable:
                        yield "not UTF-8"
                    elif fields:
                        yield fields
            except csv.Error:
                # A quote that is never closed has swallowed what follows: leave only its first line out.
                self._skip_line(begin, first_line)
                yield "broken quotes, or a field that is too long"

    def _lines(self) -> Iterator[str]:
        read = self._file.readline
        while True:
            raw = read(_MOST_LINE_BYTES)
            if not raw:
                return
            self.offset += len(raw)
            self.line += 1
            if self.line == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if len(raw) == _MOST_LINE_BYTES and not raw.endswith(b"\n"):
                raise csv.Error("line too long")
            try:
                yield raw.decode()
            except UnicodeDecodeError:
                self._undecodable = True
                yield raw.decode(errors="replace")

    def _skip_line(self, begin: int, first_line: int) -> None:
        self._file.seek(begin)
        self.offset, self.line = begin, first_line + 1
        while raw := self._file.readline(_MOST_LINE_BYTES):
            self.offset += len(raw)
            if raw.endswith(b"\n"):
                return
