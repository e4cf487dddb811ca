"""Whatever happened to a file on its way: it comes out as far as it goes, or is refused with the parameter named."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import pytest

from niyanta.errors import PermanentError
from support.attempts import Service
from support.awkward_pictures import marked
from support.awkward_videos import record
from support.harm import HARM

PICTURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "jpeg.jpg": ("JPEG", "RGB", {}),
    "progressive.jpg": ("JPEG", "RGB", {"progressive": True}),
    "true.png": ("PNG", "RGB", {}),
    "palette.png": ("PNG", "P", {}),
    "grey.gif": ("GIF", "P", {}),
    "interlaced.gif": ("GIF", "P", {"interlace": 1}),
    "plain.bmp": ("BMP", "RGB", {}),
    "plain.tif": ("TIFF", "RGB", {}),
    "deflate.tif": ("TIFF", "RGB", {"compression": "tiff_adobe_deflate"}),
    "jpeg.tif": ("TIFF", "RGB", {"compression": "jpeg"}),
    "lossy.webp": ("WEBP", "RGB", {}),
    "lossless.webp": ("WEBP", "RGB", {"lossless": True}),
}
ROWS = ["region,amount,day", *(f"{'north' if n % 2 else 'süd'},{n}.5,2025-{n % 12 + 1:02d}-03" for n in range(200))]
TABLES = {
    "plain": "\n".join(ROWS).encode() + b"\n",
    "quoted": "\n".join(",".join(f'"{field}"' for field in row.split(",")) for row in ROWS).encode(),
    "named": b"sep=,\r\n" + "\r\n".join(ROWS).encode(),
    "Latin 1": "\n".join(ROWS).encode("latin-1"),
}


@pytest.mark.parametrize("output_format", ["keep", "jpeg", "png", "webp"])
def test_each_harmed_picture_is_a_row_or_comes_out(tmp_path: Path, output_format: str) -> None:
    (tmp_path / "in").mkdir()
    for name, (kind, mode, options) in PICTURES.items():
        written = io.BytesIO()
        marked(120, 80, mode).save(written, kind, **options)
        for how, harm in HARM.items():
            (tmp_path / "in" / f"{how}-{name}").write_bytes(harm(written.getvalue()))
    wanted = {"source_url": str(tmp_path / "in"), "output_url": str(tmp_path / "out"), "output_format": output_format}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = Service("image_processing", wanted, tmp_path / "scratch").attempt()
    assert result["images"] == len(PICTURES) * len(HARM) == result["processed"] + result["failed"]
    assert len(list((tmp_path / "out").iterdir())) == result["processed"] > len(PICTURES)
    assert all(failure["reason"] for failure in result["failures"])


@pytest.mark.parametrize("how", HARM)
@pytest.mark.parametrize("kind", TABLES)
def test_of_a_harmed_table_every_line_is_counted_or_named(tmp_path: Path, kind: str, how: str) -> None:
    data = HARM[how](TABLES[kind])
    (tmp_path / "in.csv").write_bytes(data)
    wanted = {"group_by": "region", "value_columns": ["amount"], "date_column": "day"}
    wanted |= {"csv_url": str(tmp_path / "in.csv"), "output_url": str(tmp_path / "report.html")}
    try:
        result = Service("report_generation", wanted, tmp_path / "scratch").attempt()
    except PermanentError as exc:
        assert str(exc).partition(":")[0] in {*wanted, "delimiter", "encoding", "decimal_mark"}  # noqa: PT017
        return
    assert result["rows"] + result["bad_rows"] <= len(data.splitlines())
    assert sum(result["bad_reasons"].values()) == result["bad_rows"]
    assert result["rows"] + result["bad_rows"] > 60


@pytest.mark.parametrize("how", ["half", "less-10", "zeros", "twice", "bits", "head", "behind", "hole"])
@pytest.mark.parametrize("kind", ["mp4", "matroska", "mpegts", "avi"])
def test_of_a_harmed_video_what_is_left_comes_out(tmp_path: Path, kind: str, how: str) -> None:
    video = tmp_path / "video"
    record(video, kind=kind)
    video.write_bytes(HARM[how](video.read_bytes()))
    wanted = {"video_url": str(video), "output_url": str(tmp_path / "out" / "out.mp4"), "speed": "fast"}
    try:
        result = Service("video_transcoding", {**wanted, "segment_seconds": 1}, tmp_path / "scratch").until_done()
    except PermanentError as exc:
        assert str(exc).startswith("video_url: ")  # noqa: PT017
        assert how not in ("twice", "less-10")
        return
    assert 0 < result["frames"] <= (100 if how == "twice" else 50)
    assert result["frames"] == (100 if how == "twice" and kind != "mp4" else 50) or how not in ("twice", "less-10")
