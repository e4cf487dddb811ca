"""``report_generation``: the figures are exact, and the same however it is interrupted."""

from __future__ import annotations

import io
import itertools
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niyanta.errors import PermanentError
from niyanta.examples.reports.reading import RecordReader
from niyanta.examples.samples import make_csv
from niyanta.worker.handlers.link import AttemptEnded
from support.attempts import Killed, Service


def service(tmp_path: Path, text: str | bytes, **params: Any) -> Service:
    data = text.encode() if isinstance(text, str) else text
    (tmp_path / "in.csv").write_bytes(data)
    wanted = {
        "csv_url": str(tmp_path / "in.csv"),
        "output_url": str(tmp_path / "report.html"),
        "group_by": "region",
        "value_columns": ["amount"],
        **params,
    }
    return Service("report_generation", wanted, tmp_path / "scratch")


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("csv") / "sales.csv"
    make_csv(path, rows=120_000)
    return path.read_text()


def test_figures_are_exact(tmp_path: Path) -> None:
    rows = "".join(f"north,0.1\nsouth,{n}.005\n" for n in range(1000))
    result = service(tmp_path, f"region,amount\n{rows}").attempt()
    page = (tmp_path / "report.html").read_text()
    assert result["totals"] == {"amount": 499_605.0}
    assert (result["rows"], result["bad_rows"], result["groups"]) == (2000, 0, 2)
    assert "<td>100.00</td>" in page.replace("100</td>", "100.00</td>")
    assert "<td>499,505</td>" in page
    assert "<td>0.005</td>" in page
    assert result["size_bytes"] == (tmp_path / "report.html").stat().st_size


def test_stopped_at_every_chunk_it_gives_the_same_bytes(tmp_path: Path, sales: str) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    options: dict[str, Any] = {"chunk_mb": 1, "value_columns": ["amount", "quantity"], "date_column": "date"}
    expected = service(whole, sales, **options).attempt()
    run = service(parts, sales, **options)
    result = run.until_done()
    assert run.attempts == len(sales) // (1 << 20) + 1 > 4
    assert (parts / "report.html").read_bytes() == (whole / "report.html").read_bytes()
    assert {**result, "output_url": ""} == {**expected, "output_url": ""}
    amounts = [line.rsplit(",", 1)[1] for line in sales.splitlines()[1:]]
    assert result["totals"]["amount"] == float(sum(Decimal(a) for a in amounts if a != "n/a"))
    assert result["bad_rows"] == 2


def test_killed_it_counts_no_row_twice(tmp_path: Path, sales: str) -> None:
    run = service(tmp_path, sales, chunk_mb=1)
    run.die_instead_of = 3
    with pytest.raises(Killed):
        run.attempt()
    result = run.attempt()
    assert result["rows"] + result["bad_rows"] == 120_000


def test_a_pause_stops_it_between_two_rows(tmp_path: Path, sales: str) -> None:
    run = service(tmp_path, sales, chunk_mb=1024)
    run.waiting = "pause"
    with pytest.raises(AttemptEnded):
        run.attempt()
    assert 0 < run.saved["rows"] < 120_000
    run.waiting = None
    assert run.attempt()["rows"] == 119_998


def test_bad_rows_are_counted_by_reason_and_listed(tmp_path: Path) -> None:
    text = (
        b"\xef\xbb\xbfregion,amount,day\r\n"
        b"north,1,2025-10-27\r\n"
        b"north,one,2025-10-27\r\n"
        b"north,1\r\n"
        b"\r\n"
        b"north,nan,2025-10-27\r\n"
        b"north,1e99,2025-10-27\r\n"
        b"n\xffrth,1,2025-10-27\r\n"
        b"north,1,27.10.2025\r\n"
        b'north,1,"2025-\r\n10-27"\r\n'
        b'"a ""quoted"", name",2,2025-11-01T00:00:00Z\r\n'
        b"\0,3,2025-12-01\r\n" + b"x" * 300 + b",3,2025-12-01"
    )
    run = service(tmp_path, text, date_column="day")
    result = run.attempt()
    assert (result["rows"], result["bad_rows"], result["groups"]) == (3, 8, 3)
    page = (tmp_path / "report.html").read_text()
    for reason, count in (
        ("not a number", 2),
        ("a number that is too large or has too many digits", 1),
        ("wrong number of fields", 1),
        ("not UTF-8", 1),
        ("not an ISO date", 2),
        ("the group&#x27;s name is too long", 1),
    ):
        assert f"<tr><td>{reason}</td><td>{count}</td></tr>" in page
    assert "line 3 (not a number)" in page
    assert "a &quot;quoted&quot;, name" in page


@pytest.mark.parametrize("broken", [[100], [29_990], [100, 200, 29_999]])
def test_a_quote_without_an_end_costs_one_line(tmp_path: Path, broken: list[int]) -> None:
    rows = ["north,1"] * 30_000
    for number in broken:
        rows[number] = 'north,"1'
    result = service(tmp_path, "\n".join(["region,amount", *rows])).attempt()
    assert (result["rows"], result["bad_rows"]) == (30_000 - len(broken), len(broken))


def test_a_line_without_an_end_costs_no_memory(tmp_path: Path) -> None:
    run = service(tmp_path, b"region,amount\nnorth,1\n" + b"x" * (40 << 20) + b"\nnorth,2\n")
    tracemalloc.start()
    try:
        result = run.attempt()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (result["rows"], result["bad_rows"]) == (2, 1)
    assert peak_bytes < 12 << 20


def test_the_page_is_whole_and_loads_nothing(tmp_path: Path, sales: str) -> None:
    service(tmp_path, sales, date_column="date", title="<b>Sales</b> & more", top=3).attempt()
    page = (tmp_path / "report.html").read_text()
    charts = [f"<svg{part.split('</svg>')[0]}</svg>" for part in page.split("<svg")[1:]]
    assert len(charts) == 2
    bars = ElementTree.fromstring(charts[0])
    assert len(bars.findall(".//rect")) == 4  # three groups and the others
    assert len(ElementTree.fromstring(charts[1]).findall(".//circle")) == 24
    assert "&lt;b&gt;Sales&lt;/b&gt; &amp; more" in page
    assert "://" not in page
    assert "<script" not in page


@pytest.mark.parametrize("values", [["0"], ["-5", "3"], ["-1", "-2"], ["1e15", "0.001"], []])
def test_charts_of_any_numbers_can_be_drawn(tmp_path: Path, values: list[str]) -> None:
    rows = "".join(f"group {n},{value},2025-0{n + 1}-01\n" for n, value in enumerate(values))
    service(tmp_path, f"region,amount,day\n{rows}", date_column="day").attempt()
    page = (tmp_path / "report.html").read_text()
    for part in page.split("<svg")[1:]:
        for shape in ElementTree.fromstring(f"<svg{part.split('</svg>')[0]}</svg>").iter("rect"):
            assert float(shape.attrib["width"]) > 0


@pytest.mark.parametrize(
    ("text", "params", "says"),
    [
        ("", {}, "csv_url: .* has no header line: it is empty"),
        ("a,b\n1,2\n", {}, "group_by: the file has no column 'region'; it has a, b"),
        ("region\nx\n", {}, "value_columns: the file has no column 'amount'; it has region"),
        ("region,amount\n", {"date_column": "day"}, "date_column: the file has no column 'day'"),
        ("region,amount\n", {"csv_url": "HERE/no/such.csv"}, "csv_url: there is no such file"),
        ("region,amount\n", {"value_columns": []}, r"\$\.value_columns"),
        ("region,amount\n", {"delimiter": '"'}, r"\$\.delimiter"),
        ("region,amount\n" + "".join(f"{n},1\n" for n in range(50_001)), {}, "more than 50000 different groups"),
    ],
)
def test_bad_input_fails_for_good_and_names_the_field(
    tmp_path: Path, text: str, params: dict[str, Any], says: str
) -> None:
    if "csv_url" in params:
        params = {"csv_url": params["csv_url"].replace("HERE", str(tmp_path))}
    with pytest.raises(PermanentError, match=says):
        service(tmp_path, text, **params).attempt()


def test_a_file_that_changed_begins_anew(tmp_path: Path, sales: str) -> None:
    run = service(tmp_path, sales, chunk_mb=1)
    run.end_after = 1
    with pytest.raises(AttemptEnded):
        run.attempt()
    service(tmp_path, "region,amount\nnorth,1\n")
    assert run.attempt()["rows"] == 1


def test_the_report_may_not_be_the_file(tmp_path: Path) -> None:
    run = service(tmp_path, "region,amount\n", output_url=str(tmp_path / "in.csv"))
    with pytest.raises(PermanentError, match=r"output_url: .* is the CSV file itself"):
        run.attempt()


@given(
    data=st.lists(st.sampled_from([b"a", b",", b'"', b"\n", b"\r\n", b"\r", b"\xff", b"\0"]), max_size=60),
    cut=st.integers(0, 30),
)
@settings(deadline=None)
def test_reading_goes_on_from_any_record(data: list[bytes], cut: int) -> None:
    """Whatever the bytes are: stopping after any record and going on gives the same records."""
    raw = b"".join(data)
    whole = list(RecordReader(io.BytesIO(raw), ","))
    first = RecordReader(io.BytesIO(raw), ",")
    begun = list(itertools.islice(first, cut))
    second = RecordReader(io.BytesIO(raw), ",", first.offset, first.line)
    if len(begun) < cut:
        assert begun == whole
    else:
        assert begun + list(second) == whole
