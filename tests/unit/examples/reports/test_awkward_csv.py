"""CSV files as people really have them: the figures are right, or the reason is said and the parameter named."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from niyanta.errors import PermanentError
from niyanta.examples.reports.reading import RecordReader
from support.attempts import Service

ROWS = ["region,amount,day", "north,1.5,2025-10-27", "süd,2,2025-11-01T10:00:00Z", "north,3,2025-11"]
TOTAL = {"rows": 3, "bad_rows": 0, "groups": 2, "exact_totals": {"amount": "6.5"}}


def text(rows: list[str] = ROWS, end: str = "\n") -> str:
    return end.join(rows) + end


def zipped() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("xl/workbook.xml", "x")
    return written.getvalue()


WHOLE: Mapping[str, tuple[bytes, dict[str, Any]]] = {
    "plain": (text().encode(), {}),
    "CR LF": (text(end="\r\n").encode(), {}),
    "CR alone": (text(end="\r").encode(), {}),
    "CR alone, no end": (text(end="\r").encode()[:-1], {}),
    "no end": (text().encode()[:-1], {}),
    "mixed ends": ("\r\n".join(ROWS[:2]).encode() + b"\r" + "\n".join(ROWS[2:]).encode() + b"\r\n", {}),
    "empty lines": ("\n\n".join(ROWS).encode() + b"\n\n\r\n\r\r", {}),
    "byte order mark": (text().encode("utf-8-sig"), {}),
    "byte order mark and quotes": (text(['"region","amount","day"', *ROWS[1:]]).encode("utf-8-sig"), {}),
    "Windows": (text().encode("windows-1252"), {"encoding": "windows-1252"}),
    "Latin 1": (text().encode("iso-8859-1"), {"encoding": "iso-8859-1"}),
    "decimal commas": (
        text([row.replace(",", ";").replace(".", ",") for row in ROWS]).encode(),
        {"delimiter": ";", "decimal_mark": ","},
    ),
    "a line that names the delimiter": (b"sep=,\n" + text().encode(), {}),
    "the same as Excel saves it": (
        b'\xef\xbb\xbf"sep=;"\r\n' + text([row.replace(",", ";") for row in ROWS], "\r\n").encode(),
        {"delimiter": ";"},
    ),
    "tabs": (text([row.replace(",", "\t") for row in ROWS]).encode(), {"delimiter": "\t"}),
    "spaces around": (
        text([ROWS[0].replace(",", " , "), *(row.replace(",", ", ", 1) for row in ROWS[1:])]).encode(),
        {},
    ),
    "quoted lines": (text([*ROWS[:3], 'north,"3\r\n",2025-11']).encode(), {}),
    "quoted CR": (text([*ROWS[:3], 'north,"3\r",2025-11']).encode(), {}),
    "signs and exponents": (
        text([ROWS[0], "a,+1e3,2024-02-29", "b,-.5,2025-01", "b,-993.,2025-12-31 24:00"]).encode(),
        {},
    ),
    "a delimiter at each end": (text([f"{row}," for row in ROWS]).encode(), {}),
    "unused columns of one name": (text([f"{row},x,x" for row in ROWS]).encode(), {}),
    "very many unused columns": (text([row + ",c" * 20_000 for row in ROWS]).encode(), {}),
    "pipes": (text([row.replace(",", "|") for row in ROWS]).encode(), {"delimiter": "|"}),
    "all quoted": (text([",".join(f'"{field}"' for field in row.split(",")) for row in ROWS]).encode(), {}),
    "other signs that end lines": (text([f"{row},\x0b\x0c\x1c\x85\u2028" for row in ROWS]).encode(), {}),
    "doubled quotes": (text([f'{row},"say ""hi"", he said"' for row in ROWS]).encode(), {}),
    "quotes of a typesetter": (text([f"{row},“x”" for row in ROWS]).encode(), {}),
    "zones and parts of a second": (
        text(
            [ROWS[0], "a,1.5,2025-10-27T10:00:00.123456+05:30", "b,4,2025-10-27 10:00:00 UTC", "b,1,2025-10"]
        ).encode(),
        {},
    ),
    "leading zeros and points": (text([ROWS[0], "a,001.5,2025-10", "b,2.,2025-11", "b,+.3E1,2025-12"]).encode(), {}),
    "nothing below zero": (text([ROWS[0], "a,-0,2025-10", "b,-0.0,2025-11", "b,6.5,2025-12"]).encode(), {}),
    "the ends of time": (
        text([ROWS[0], "a,1.5,0001-01-01", "b,2,9999-12-31", "b,3,1969-12-31T23:59:59Z"]).encode(),
        {},
    ),
    "a leap second": (text([ROWS[0], "a,1.5,2016-12-31T23:59:60Z", "b,2,2025-11", "b,3,2025-12"]).encode(), {}),
    "midnight and zones": (
        text([ROWS[0], "a,1.5,2025-10-27T00:00Z", "b,2,2025-10-27 00:00:00+14:00", "b,3,2025-12"]).encode(),
        {},
    ),
    "quotes across lines of a header": (
        text(['region,amount,day,"a note\r\nof two lines"', *(f'{row},"x\n\n\ny"' for row in ROWS[1:])]).encode(),
        {},
    ),
    "a long header": (
        text([ROWS[0] + ",c" * 50_000, *(row + "," * 50_000 for row in ROWS[1:])]).encode(),
        {},
    ),
    "markup for a name": (
        text([ROWS[0], "<img src=x onerror=alert(1)>,1.5,2025-10", "&amp;,5,2025-11", "&amp;,0,2025-11"]).encode(),
        {},
    ),
    "names that look alike": (
        text([ROWS[0], "e\u0301,1.5,2025-10", "\xe9,2,2025-11", "\xe9,3,2025-11"]).encode(),
        {},
    ),
    "a formula for a name": (text([ROWS[0], "=1+1,1.5,2025-10", "@x,2,2025-11", "@x,3,2025-11"]).encode(), {}),
    "colons": (
        text([row.replace(",", ":") for row in [*ROWS[:2], "süd,2,2025-11", ROWS[3]]]).encode(),
        {"delimiter": ":"},
    ),
    "spaces between": (text([row.replace(",", " ") for row in ROWS]).encode(), {"delimiter": " "}),
    "unused column with anything": (
        text(
            [f"{row},{extra}" for row, extra in zip(ROWS, ["x", "\0", "é" * 60_000, "<script>"], strict=True)]
        ).encode(),
        {},
    ),
}
BAD_ROWS: Mapping[str, tuple[bytes, str]] = {
    "ragged, short": (b"north,1", "wrong number of fields"),
    "ragged, long": (b"north,1,2025-10-27,", "wrong number of fields"),
    "blanks": (b"   ", "wrong number of fields"),
    "no February 31": (b"north,1,2026-02-31", "a date that doesn't exist"),
    "no leap year": (b"north,1,2025-02-29", "a date that doesn't exist"),
    "month 13": (b"north,1,2025-13-01", "a date that doesn't exist"),
    "month 0": (b"north,1,2025-00", "a date that doesn't exist"),
    "zeros of a database": (b"north,1,0000-00-00", "a date that doesn't exist"),
    "hour 25": (b"north,1,2025-10-27 25:00:00", "a date that doesn't exist"),
    "minute 60": (b"north,1,2025-10-27T10:60", "a date that doesn't exist"),
    "German date": (b"north,1,27.10.2025", "not an ISO date"),
    "American date": (b"north,1,10/27/2025", "not an ISO date"),
    "half a date": (b"north,1,2025-10-2", "not an ISO date"),
    "no date": (b"north,1,", "not an ISO date"),
    "full-width digits": ("north,1,２０２５-10-27".encode(), "not an ISO date"),
    "decimal comma": (b'north,"1,5",2025-10-27', "a comma in a number"),
    "thousands": (b'north,"1,234.50",2025-10-27', "a comma in a number"),
    "currency": ("north,5 €,2025-10-27".encode(), "not a number"),
    "NaN": (b"north,NaN,2025-10-27", "not a number"),
    "infinite": (b"north,-inf,2025-10-27", "not a number"),
    "hexadecimal": (b"north,0x10,2025-10-27", "not a number"),
    "underscores": (b"north,1_000,2025-10-27", "not a number"),
    "no number": (b"north,,2025-10-27", "not a number"),
    "too large": (b"north,1e400,2025-10-27", "a number that is too large or has too many digits"),
    "a little too large": (b"north,1e16,2025-10-27", "a number that is too large or has too many digits"),
    "digits of a program": (
        b"north,0.1000000000000000055511151231257827,2025-10-27",
        "a number that is too large or has too many digits",
    ),
    "minus of a typesetter": ("north,−5,2025-10-27".encode(), "not a number"),
    "minus behind": (b"north,5-,2025-10-27", "not a number"),
    "brackets of a bookkeeper": (b"north,(5),2025-10-27", "not a number"),
    "per cent": (b"north,5%,2025-10-27", "not a number"),
    "apostrophes": (b"north,1'234,2025-10-27", "not a number"),
    "spaces that do not break": ("north,1\u00a0234,2025-10-27".encode(), "not a number"),
    "Arabic digits": ("north,٣,2025-10-27".encode(), "not a number"),
    "a fraction": (b"north,1/2,2025-10-27", "not a number"),
    "two points": (b"north,1.2.3,2025-10-27", "not a number"),
    "a word": (b"north,NULL,2025-10-27", "not a number"),
    "a second header": (b"region,amount,day", "not a number"),
    "a second file's header": (b"\xef\xbb\xbfregion,amount,day", "not a number"),
    "an end of DOS": (b"\x1a", "wrong number of fields"),
    "a comment": (b"# by hand", "wrong number of fields"),
    "a total": (b"Total,6.5,", "not an ISO date"),
    "seconds since 1970": (b"north,1,1761523200", "not an ISO date"),
    "two dates": (b"north,1,2025-10-27/2025-10-28", "not an ISO date"),
    "a week": (b"north,1,2025-W44", "not an ISO date"),
    "a short year": (b"north,1,25-10-27", "not an ISO date"),
    "slashes": (b"north,1,2025/10/27", "not an ISO date"),
    "a formula": (b"north,=1+1,2025-10-27", "not a number"),
    "not UTF-8": (b"s\xfcd,1,2025-10-27", "not UTF-8"),
    "half a character": (b"s\xc3,1,2025-10-27", "not UTF-8"),
    "surrogates": (b"\xed\xa0\x80,1,2025-10-27", "not UTF-8"),
    "an open quote": (b'north,"1,2025-10-27', "broken quotes"),
    "text after a quote": (b'"nor"th,1,2025-10-27', "broken quotes"),
    "a long field": (b"x" * 200_000 + b",1,2025-10-27", "a field that is too long"),
    "a long line": (b"x," * 800_000, "a line that is too long"),
    "a NUL in a number": (b"north,1\0,2025-10-27", "not a number"),
    "a NUL in a date": (b"north,1,2025\0-10-27", "not an ISO date"),
    "only NULs": (b"\0\0\0", "wrong number of fields"),
    "Roman numerals": ("north,Ⅳ,2025-10-27".encode(), "not a number"),
    "a power": ("north,5²,2025-10-27".encode(), "not a number"),
    "two signs": (b"north,--5,2025-10-27", "not a number"),
    "a sign alone": (b"north,-,2025-10-27", "not a number"),
    "a point alone": (b"north,.,2025-10-27", "not a number"),
    "an exponent alone": (b"north,e5,2025-10-27", "not a number"),
    "half an exponent": (b"north,1e,2025-10-27", "not a number"),
    "true": (b"north,TRUE,2025-10-27", "not a number"),
    "an error of a spreadsheet": (b"north,#DIV/0!,2025-10-27", "not a number"),
    "a number in quotes of its own": (b"north,'5',2025-10-27", "not a number"),
    "a space in a number": (b"north,1 000,2025-10-27", "not a number"),
    "an invisible sign": ("north,\u200b5,2025-10-27".encode(), "not a number"),
    "a mark within": ("north,\ufeff5,2025-10-27".encode(), "not a number"),
    "the year 0": (b"north,1,0000-01-01", "a date that doesn't exist"),
    "a far year": (b"north,1,+12025-10-27", "not an ISO date"),
    "before Christ": (b"north,1,-0044-03-15", "not an ISO date"),
    "a month by its name": (b"north,1,27 Oct 2025", "not an ISO date"),
    "a day of the year": (b"north,1,2025-300", "not an ISO date"),
    "days since 1900": (b"north,1,45957", "not an ISO date"),
    "minutes of a zone": (b"north,1,2025-10-27T10:00:00.5+05:75", "a date that doesn't exist"),
    "no zone": (b"north,1,2025-10-27T10:00+99:99", "a date that doesn't exist"),
    "a date and more": (b"north,1,2025-10-27 and later", "not an ISO date"),
    "an escaped quote": (b'"nor\\"th",1,2025-10-27', "broken quotes"),
    "a quote within": (b'nor"th",1,2025-10-27,"', "broken quotes"),
    "a single column": (b"north", "wrong number of fields"),
    "overlong UTF-8": (b"\xc0\xafx,1,2025-10-27", "not UTF-8"),
    "beyond Unicode": (b"\xf5\x90\x80\x80,1,2025-10-27", "not UTF-8"),
    "a long name": (b"x" * 201 + b",1,2025-10-27", "the group's name is too long"),
}
REFUSED: Mapping[str, tuple[bytes, dict[str, Any], str]] = {
    "nothing": (b"", {}, "csv_url: .* it is empty"),
    "only a mark": (b"\xef\xbb\xbf", {}, "csv_url: .* it is empty"),
    "only ends": (b"\r\n\n\r", {}, "csv_url: .* it is empty"),
    "UTF-16": (text().encode("utf-16"), {}, "csv_url: .* is UTF-16; save it as CSV in UTF-8"),
    "UTF-16 the other way": (b"\xfe\xff" + text().encode("utf-16-be"), {}, "csv_url: .* is UTF-16"),
    "UTF-16 without a mark": (text().encode("utf-16-le"), {}, "csv_url: .* is UTF-16 or no text"),
    "UTF-32": (text().encode("utf-32"), {}, "csv_url: .* is UTF-32"),
    "Excel": (zipped(), {}, "csv_url: .* is an Excel or ZIP file"),
    "a web page": (b"<!doctype html>\n<title>404</title>\n", {}, "group_by: the file has no column 'region'"),
    "JSON": (b'[{"region": "north", "amount": 1}]\n', {}, "group_by: the file has no column|csv_url: .* no header"),
    "gzip": (gzip.compress(text().encode()), {}, "csv_url: .* is a gzip file"),
    "xz": (lzma.compress(text().encode()), {}, "csv_url: .* is an xz file"),
    "bzip2": (bz2.compress(text().encode()), {}, "csv_url: .* is a bzip2 file"),
    "Zstandard": (b"\x28\xb5\x2f\xfd" + bytes(50), {}, "csv_url: .* is a Zstandard file"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c" + bytes(50), {}, "csv_url: .* is a 7-Zip file"),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(50), {}, "csv_url: .* is an old Excel file"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\n1 0 obj\n", {}, "csv_url: .* is a PDF"),
    "Parquet": (b"PAR1\x15\x04" + bytes(50), {}, "csv_url: .* is a Parquet file"),
    "a database": (b"SQLite format 3\0" + bytes(90), {}, "csv_url: .* is a database"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), {}, "csv_url: .* is a picture"),
    "a program": (b"\x7fELF" + bytes(50), {}, "csv_url: .* no text"),
    "zeros": (bytes(5000), {}, "csv_url: "),
    "EBCDIC": (text().encode("cp500", errors="replace"), {}, "csv_url: .* has no header line: not UTF-8"),
    "UTF-7": (text().encode("utf-7"), {"group_by": "süd"}, "group_by: the file has no column"),
    "a million columns": (
        (ROWS[0] + ",c" * 1_000_000 + "\n").encode(),
        {},
        "csv_url: .* has no header line: a line that is too long",
    ),
    "a header in quotes that stay open": (
        b'"region,amount,day\nnorth,1,2025-10\n',
        {},
        "csv_url: .* has no header line: broken quotes",
    ),
    "a header in other letters": (
        b"Region,Amount,Day\nnorth,1,2025-10\n",
        {},
        "group_by: .*; it has Region, Amount, Day",
    ),
    "a header that begins below": (b"Sales of 2025,,\nregion,amount,day\nnorth,1,2025-10\n", {}, "group_by: "),
    "no header": (b"north,1,2025-10\nnorth,2,2025-11\n", {}, "group_by: the file has no column 'region'"),
    "another delimiter": (text().replace(",", ";").encode(), {}, "group_by: .* set delimiter to ';'"),
    "a line that names another": (b"sep=;\n" + text().encode(), {}, "delimiter: .* first line that it is ';'"),
    "two columns of a name": (b"region,amount,amount,day\n", {}, "value_columns: the file has 2 columns 'amount'"),
    "a header that is not UTF-8": (b"r\xe9gion,amount,day\n", {}, "csv_url: .* has no header line: not UTF-8"),
    "a mark of another encoding": (text().encode("utf-8-sig"), {"encoding": "windows-1252"}, "encoding: .* is UTF-8"),
    "decimal commas": (
        b"region;amount;day\nnorth;1,5;2025-10-27\nnorth;2,5;2025-10-27\n",
        {"delimiter": ";"},
        r"decimal_mark: none of the 2 rows could be counted: a comma in a number \(2\); "
        r"the first is in line 2. If these are decimal commas, set decimal_mark to ','",
    ),
    "decimal points": (
        b"region,amount,day\nnorth,1.5,2025-10\n",
        {"decimal_mark": ","},
        "decimal_mark: none of the 1",
    ),
    "other dates": (b"region,amount,day\nnorth,1,27.10.2025\n", {}, "date_column: none of .* Dates must look like"),
    "old Windows": (b"region,amount,day\ns\xfcd,1,2025-10\n", {}, "encoding: none of .* windows-1252"),
    "all ragged": (b"region,amount,day\nnorth;1;2025-10\n", {}, "delimiter: none of"),
    "all text": (b"region,amount,day\nnorth,x,2025-10\n", {}, "value_columns: none of"),
}


def service(tmp_path: Path, data: bytes, **params: Any) -> Service:
    (tmp_path / "in.csv").write_bytes(data)
    wanted = {"group_by": "region", "value_columns": ["amount"], "date_column": "day", **params}
    wanted |= {"csv_url": str(tmp_path / "in.csv"), "output_url": str(tmp_path / "report.html")}
    return Service("report_generation", wanted, tmp_path / "scratch")


@pytest.mark.parametrize("name", WHOLE)
def test_every_row_counts(tmp_path: Path, name: str) -> None:
    data, params = WHOLE[name]
    result = service(tmp_path, data, **params).attempt()
    assert {key: result[key] for key in TOTAL} == TOTAL
    assert result["bad_reasons"] == {}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_counted_with_its_reason_and_costs_no_other(tmp_path: Path, name: str) -> None:
    row, reason = BAD_ROWS[name]
    lines = [line.encode() for line in ROWS]
    result = service(tmp_path, b"\n".join([*lines[:2], row, *lines[2:]]) + b"\n").attempt()
    assert {key: result[key] for key in TOTAL} == {**TOTAL, "bad_rows": 1}
    assert result["bad_reasons"] == {reason: 1}
    assert result["bad_examples"] == [{"line": 3, "reason": reason}]
    assert "<td>1</td>" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_of_which_nothing_can_be_counted_fails_and_says_why(tmp_path: Path, name: str) -> None:
    data, params, says = REFUSED[name]
    with pytest.raises(PermanentError, match=says):
        service(tmp_path, data, **params).attempt()
    assert not (tmp_path / "report.html").exists()


def test_large_totals_are_not_rounded(tmp_path: Path) -> None:
    result = service(tmp_path, b"region,amount,day\na,9007199254740993,2025-10\na,0.1,2025-10\n").attempt()
    assert result["exact_totals"] == {"amount": "9007199254740993.1"}


def test_the_report_may_not_be_the_file_by_another_way(tmp_path: Path) -> None:
    run = service(tmp_path, text().encode())
    (tmp_path / "link.html").symlink_to("in.csv")
    for other in ("link.html", "./in.csv", "scratch/../in.csv", "/in.csv"):
        run.params["output_url"] = f"{tmp_path}/{other}"
        with pytest.raises(PermanentError, match=r"output_url: .* is the CSV file itself"):
            run.attempt()
    assert (tmp_path / "in.csv").read_text() == text()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("most", [8, 9, 10, 16])
def test_lines_are_the_same_wherever_the_pieces_end(end: bytes, most: int) -> None:
    """The file is read in pieces; an end of line may lie between two of them."""

    def reader(offset: int = 0, line: int = 0) -> RecordReader:
        return RecordReader(io.BytesIO(raw), ",", offset, line, most_line_bytes=most)

    lines = [b"", b"a,b", b"12345", b"a," + b"x" * 30, b"", b"c,d", b"1234", b"e,f", b"g,h"]
    raw = end.join(lines) + end
    records = list(reader())
    whole = [line.decode().split(",") for line in lines if 0 < len(line) < 6]
    assert [r for r in records if isinstance(r, list)] == whole
    assert [r for r in records if isinstance(r, str)] == ["a line that is too long"]
    for count in range(len(records)):
        first = reader()
        list(itertools.islice(first, count))
        assert list(reader(first.offset, first.line)) == records[count:]
