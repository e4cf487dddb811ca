"""Any video comes out whole, or says what is missing; what is none is refused at once, and the parameter named."""

from __future__ import annotations

import gc
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from niyanta.errors import PermanentError
from niyanta.examples.storage import LocalPlace
from niyanta.examples.video.formats import CODECS
from niyanta.examples.video.source import Source
from niyanta.examples.video.turning import Turner
from support.attempts import Service
from support.awkward_videos import REFUSED, WHOLE, record, with_matrix
from support.media import read


def service(tmp_path: Path, video: Path, **params: Any) -> Service:
    wanted = {"output_url": str(tmp_path / "out" / "out.mp4"), "speed": "fast", "segment_seconds": 1, **params}
    return Service("video_transcoding", {"video_url": str(video), **wanted}, tmp_path / "scratch")


def greys(path: Path) -> list[int]:
    """What each frame's ground says of its number."""
    return [int(np.median(picture)) for picture in read(path, sound=False).pictures]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


PICTURE_BEGINS = {"picture-later.mkv": 1.0, "without-front.ts": 0.36}
"""Where sound comes first, in seconds."""


@pytest.mark.parametrize("name", WHOLE)
def test_all_of_it_comes_out(tmp_path: Path, name: str) -> None:
    make, expected = WHOLE[name]
    make(tmp_path / name)
    run = service(tmp_path, tmp_path / name)
    result = run.until_done()
    for key, value in expected.items():
        assert result[key] == (pytest.approx(value, abs=0.12) if isinstance(value, float) else value), key
    found = read(Path(result["output_url"]), sound="damaged" not in name)  # damaged sound is copied as it is
    assert len(found.times) == result["frames"] > 0
    assert found.times[0] == pytest.approx(PICTURE_BEGINS.get(name, 0), abs=0.05)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["out.mp4"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_video_is_refused_for_good(tmp_path: Path, name: str) -> None:
    make, says = REFUSED[name]
    make(tmp_path / name)
    with pytest.raises(PermanentError, match=f"^video_url: .*({says})"):
        service(tmp_path, tmp_path / name).attempt()
    assert not list(tmp_path.rglob("*.segments-*"))


@pytest.mark.parametrize("name", ["twice.ts", "twice-silent.ts", "twice-copied.ts"])
def test_times_that_begin_again_lose_nothing(tmp_path: Path, name: str) -> None:
    """Stopped at every checkpoint, each frame is there once, in order, with sound as long as the picture."""
    WHOLE[name][0](tmp_path / name)
    run = service(tmp_path, tmp_path / name)
    result = run.until_done()
    assert run.attempts > 4
    expected = [40 + number for number in range(50)] * 2
    assert np.abs(np.array(greys(Path(result["output_url"]))) - expected).max() <= 4
    found = read(Path(result["output_url"]))
    assert result["dropped_frames"] == 0
    steps = np.diff(found.times)
    assert steps.max() < 0.1
    assert found.times[-1] == pytest.approx(4.0, abs=0.1)
    if "silent" not in name:
        assert len(found.samples) / found.sound_rate == pytest.approx(4.0, abs=0.15)
        loud = np.abs(found.samples[: len(found.samples) // 480 * 480].reshape(-1, 480)).max(axis=1)
        assert (loud > 0.1).mean() > 0.95
    assert any("times begin again" in line for _, line in run.log)


@pytest.mark.parametrize("name", [name for name in WHOLE if name.startswith("leapt")])
def test_a_time_that_leaps_away_and_back_moves_nothing(tmp_path: Path, name: str) -> None:
    """Each frame is there in its order, none stays longer than it should, and it is said."""
    WHOLE[name][0](tmp_path / name)
    run = service(tmp_path, tmp_path / name)
    result = run.until_done()
    assert result["mended_times"] >= 1
    assert any("were mended" in line for _, line in run.log)
    found = read(Path(result["output_url"]))
    assert np.abs(np.array(greys(Path(result["output_url"]))) - (40 + np.arange(100))).max() <= 4
    # A first picture whose own time is lost is shown from the beginning on, be it that of the sound.
    assert np.diff(found.times).max() < (0.07 if name.startswith("leapt-first") else 0.06)
    assert len(found.samples) / found.sound_rate == pytest.approx(4.0, abs=0.1)


S = math.sqrt(0.5)


@pytest.mark.parametrize(
    ("matrix", "size", "corner"),
    [
        ((1, 0, 0, 1), (160, 90), (0, 0)),
        ((-1, 0, 0, 1), (160, 90), (0, -1)),
        ((1, 0, 0, -1), (160, 90), (-1, 0)),
        ((-1, 0, 0, -1), (160, 90), (-1, -1)),
        ((0, 1, -1, 0), (90, 160), (0, -1)),
        ((0, -1, 1, 0), (90, 160), (-1, 0)),
        ((0, 1, 1, 0), (90, 160), (0, 0)),
        ((0, -1, -1, 0), (90, 160), (-1, -1)),
        ((2, 0, 0, 2), (160, 90), (0, 0)),
        ((0, 0.5, -0.5, 0), (90, 160), (0, -1)),
        ((0.9999, 0.01, -0.01, 0.9999), (160, 90), (0, 0)),
        ((0, 0, 0, 0), (160, 90), (0, 0)),
        ((1, 1, 1, 1), (160, 90), (0, 0)),
    ],
)
def test_every_way_to_hold_a_camera(
    tmp_path: Path, matrix: tuple[float, ...], size: tuple[int, int], corner: tuple[int, int]
) -> None:
    """A point (x, y) of the stored picture is shown at (a x + c y, b x + d y)."""
    with_matrix(tmp_path / "in.mp4", *matrix)
    result = service(tmp_path, tmp_path / "in.mp4").attempt()
    found = read(Path(result["output_url"]))
    assert (found.width, found.height) == size
    assert found.pictures[0][corner] > 200
    assert (found.pictures[0] > 200).mean() == pytest.approx(1 / 16, abs=0.03)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("aspect", [None, 2])
def test_a_slanted_picture_is_not_distorted(tmp_path: Path, mirrored: bool, aspect: int | None) -> None:
    """By 45 degrees: the picture of 160 by 90 (or 320 by 90) needs a square, and the corner keeps its area."""
    from fractions import Fraction

    matrix = (-S, -S, -S, S) if mirrored else (S, S, -S, S)
    with_matrix(tmp_path / "in.mp4", *matrix, aspect=Fraction(aspect) if aspect else None)
    result = service(tmp_path, tmp_path / "in.mp4").attempt()
    width = 160 * (aspect or 1)
    side = round((width + 90) * S)
    assert result["width"] == pytest.approx(side, abs=2)
    assert result["height"] == pytest.approx(side, abs=2)
    found = read(Path(result["output_url"]))
    light = found.pictures[0] > 200
    assert light.mean() == pytest.approx(width * 90 / 16 / side**2, abs=0.01)
    # Where the middle of the light corner goes, from the middle of the picture, in parts of the square's side.
    x, y = -width * 3 / 8, -90 / 4 - 90 / 8
    a, b, c, d = matrix
    rows, columns = np.nonzero(light)
    assert columns.mean() / 64 - 0.5 == pytest.approx((a * x + c * y) / side, abs=0.03)
    assert rows.mean() / 36 - 0.5 == pytest.approx((b * x + d * y) / side, abs=0.03)


def test_a_size_that_changes_on_the_way_is_brought_to_the_first(tmp_path: Path) -> None:
    first, second = tmp_path / "1.ts", tmp_path / "2.ts"
    record(first, kind="mpegts", sound=None)
    record(second, kind="mpegts", sound=None, size=(320, 180), later_ms=2080)
    (tmp_path / "in.ts").write_bytes(first.read_bytes() + second.read_bytes())
    result = service(tmp_path, tmp_path / "in.ts").until_done()
    found = read(Path(result["output_url"]))
    assert (found.width, found.height, len(found.times)) == (160, 90, 100)


@pytest.mark.parametrize("name", ["half.mkv", "half.mp4"])
def test_an_end_that_is_missing_is_said(tmp_path: Path, name: str) -> None:
    """Six seconds by its header; what is left comes out."""
    if name == "half.mp4":  # the index stands in front, as on the web
        import av

        record(tmp_path / "whole.mp4", frames=150)
        options = {"movflags": "+faststart"}
        with (
            av.open(str(tmp_path / "whole.mp4")) as given,
            av.open(str(tmp_path / name), "w", options=options) as made,
        ):
            streams = {s.index: made.add_stream_from_template(s, opaque=True) for s in given.streams}
            for packet in given.demux():
                if packet.size:
                    packet.stream = streams[packet.stream.index]
                    made.mux(packet)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) * 6 // 10])
    else:
        WHOLE[name][0](tmp_path / name)
    run = service(tmp_path, tmp_path / name)
    result = run.attempt()
    assert 0 < result["frames"] < 150
    assert result["missing_seconds"] == pytest.approx(6 - result["duration_seconds"], abs=0.1)
    assert any("longer than what could be read" in line for _, line in run.log)


def test_a_name_of_255_bytes_works_with_an_output_of_its_own(tmp_path: Path) -> None:
    video = tmp_path / ("é" * 125 + "x.mp4")
    record(video, frames=10)
    with pytest.raises(PermanentError, match=r"output_url: the name is too long"):
        service(tmp_path, video, output_url=str(tmp_path / ("x" * 252 + ".mp4"))).attempt()
    output = tmp_path / "out" / ("y" * 251 + ".mp4")
    assert service(tmp_path / "b", video, output_url=str(output)).attempt()["frames"] == 10
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_an_encoder_that_refuses_fails_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path / "in.mp4", frames=5)
    monkeypatch.setitem(
        CODECS, "h264", replace(CODECS["h264"], options={"x264-params": "nothing=1", "preset": "none"})
    )
    with pytest.raises(PermanentError, match=r"^video_url: FFmpeg can't make h264 in mp4 of this video"):
        service(tmp_path, tmp_path / "in.mp4").attempt()
    assert list((tmp_path / "out").iterdir()) == []


def test_frames_are_let_go_without_a_garbage_collection(tmp_path: Path) -> None:
    """Six seconds of pictures of this size have 200 MB, and a video has hours."""
    record(tmp_path / "in.mp4", frames=150, size=(1280, 720), sound=None, options={"preset": "ultrafast"})
    gc.collect()
    gc.disable()
    try:
        before = psutil.Process().memory_info().rss
        with Source(LocalPlace(tmp_path / "in.mp4", "video_url", [tmp_path])) as source:
            turner = Turner(source.pixel_aspect)
            sizes = [turner.turned(frame).width for _, frame in source.frames(0)]
            grown = psutil.Process().memory_info().rss - before
    finally:
        gc.enable()
    assert sizes == [1280] * 150
    assert grown < 120 << 20
