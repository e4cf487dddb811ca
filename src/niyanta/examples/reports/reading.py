"""A CSV file record by record, with the byte at which each begins, so that reading can go on from any of them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["RecordReader"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class RecordReader:
    """Yields records; memory doesn't grow with the file, whatever is in it.

    Lines end with LF, CR LF or CR alone, as old spreadsheets write them.

    Args:
        file: Stands at ``offset``.
        delimiter: Between the fields.
        offset: First byte to read.
        line: Lines before it.
        encoding: Of the file.
        most_line_bytes: What is longer is no record, but named as one that is left out.

    Attributes:
        offset: First byte after the last record.
        line: Lines before that byte.
    """

    def __init__(
        self,
        file: BinaryIO,
        delimiter: str,
        offset: int = 0,
        line: int = 0,
        encoding: str = "utf-8",
        *,
        most_line_bytes: int = 1 << 20,
    ) -> None:
        self._most_line_bytes = most_line_bytes
        self._file = file
        self._delimiter = delimiter
        self._encoding = encoding
        self._undecodable = False
        self._longest_line = 0
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
                    self._undecodable, self._longest_line = False, 0
                    fields = next(records, None)
                    if fields is None:
                        return
                    if self._undecodable:
                        yield f"not {self._encoding.upper()}"
                    elif fields:
                        yield fields
            except csv.Error:
                reason = self._reason(self.line - first_line)
                # A quote that is never closed has swallowed what follows: leave only its first line out.
                self._skip_line(begin, first_line)
                yield reason

    def _reason(self, lines: int) -> str:
        if self._longest_line >= self._most_line_bytes:
            return "a line that is too long"
        if self._longest_line <= csv.field_size_limit():
            return "broken quotes"
        return "a field that is too long" if lines == 1 else "broken quotes, or a field that is too long"

    def _lines(self) -> Iterator[str]:
        for raw in self._raw_lines():
            length = len(raw)
            if length > self._longest_line:
                self._longest_line = length
                if length >= self._most_line_bytes:
                    raise csv.Error("line too long")
            self.offset += length
            self.line += 1
            text = raw.removeprefix(_BYTE_ORDER_MARK) if self.line == 1 else raw
            try:
                yield text.decode(self._encoding)
            except UnicodeDecodeError:
                self._undecodable = True
                yield text.decode(self._encoding, errors="replace")

    def _raw_lines(self) -> Iterator[bytes]:
        """Lines with their ends; a longer one than the limit comes in pieces of that length."""
        rest = b""
        while raw := rest + self._file.readline(self._most_line_bytes - len(rest)):
            rest = b""
            if raw.endswith(b"\n") and raw.find(b"\r", 0, -2) < 0:
                yield raw
                continue
            lines = raw.splitlines(keepends=True)
            if len(raw) == self._most_line_bytes and not raw.endswith(b"\n") and len(lines) > 1:
                rest = lines.pop()  # it goes on, if only with the LF after its CR
            yield from lines

    def _skip_line(self, begin: int, first_line: int) -> None:
        self._file.seek(begin)
        self.offset, self.line = begin, first_line + 1
        for raw in self._raw_lines():
            self.offset += len(raw)
            if raw.endswith((b"\n", b"\r")):
                return
