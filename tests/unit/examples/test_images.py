"""``image_processing``: each image once, failures named, the same result however it is interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from niyanta.errors import PermanentError
from niyanta.examples.images.processing import output_names
from niyanta.examples.samples import make_images
from niyanta.worker.handlers.link import AttemptEnded
from s3_server import S3Server
from support.attempts import Killed, Service


@pytest.fixture
def images(tmp_path: Path) -> Path:
    make_images(tmp_path / "in", count=8)
    (tmp_path / "in" / "sub").mkdir()
    Image.new("RGBA", (300, 100), (255, 0, 0, 0)).save(tmp_path / "in" / "sub" / "clear.png")
    (tmp_path / "in" / "notes.txt").write_text("no image")
    return tmp_path / "in"


def service(tmp_path: Path, images: Path | str, **params: Any) -> Service:
    wanted = {"source_url": str(images), "output_url": str(tmp_path / "out"), **params}
    return Service("image_processing", wanted, tmp_path / "scratch")


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_images_are_fitted_and_failures_named(tmp_path: Path, images: Path) -> None:
    run = service(tmp_path, images, max_width=800, max_height=800, thumbnail=64)
    result = run.attempt()
    counts = {name: result[name] for name in ("images", "processed", "resized", "failed", "skipped")}
    assert counts == {"images": 10, "processed": 9, "resized": 6, "failed": 1, "skipped": 1}
    assert result["failures"] == [{"name": "broken.jpg", "reason": "no image that can be read"}]
    assert len(outputs(tmp_path / "out")) == 18
    sizes = {}
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            with Image.open(path) as image:
                image.load()
                sizes[str(path.relative_to(tmp_path / "out"))] = (image.size, image.format)
    assert sizes["picture-000.jpg"] == ((800, 600), "JPEG")
    assert sizes["picture-001.png"] == ((600, 800), "PNG")
    assert sizes["picture-002.webp"] == ((640, 480), "WEBP")
    assert sizes["picture-003.png"] == ((800, 200), "PNG")  # was a GIF
    assert sizes["thumbnails/sub/clear.png"] == ((64, 21), "PNG")
    assert run.percents == sorted(run.percents)
    assert run.percents[-1] == 100


def test_stopped_at_every_image_it_gives_the_same(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("niyanta.examples.images.processing.SAVE_EVERY_SECONDS", 0.0)
    options: dict[str, Any] = {"max_width": 200, "output_format": "webp", "thumbnail": 32}
    whole = service(tmp_path / "a", images, **options).attempt()
    run = service(tmp_path / "b", images, **options)
    result = run.until_done()
    assert run.attempts == 11
    assert outputs(tmp_path / "a" / "out") == outputs(tmp_path / "b" / "out")
    untold = {"output_url": "", "thumbnails_url": ""}
    assert {**result, **untold} == {**whole, **untold}


def test_killed_it_counts_no_image_twice(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("niyanta.examples.images.processing.SAVE_EVERY_SECONDS", 0.0)
    run = service(tmp_path, images)
    run.die_instead_of = 4
    with pytest.raises(Killed):
        run.attempt()
    assert run.attempt()["processed"] == 9


def test_a_pause_stops_it_after_the_image_at_hand(tmp_path: Path, images: Path) -> None:
    run = service(tmp_path, images)
    run.waiting = "pause"
    with pytest.raises(AttemptEnded):
        run.attempt()
    assert run.saved["last"] == "broken.jpg"


def test_jpeg_has_no_transparency_and_phones_turn_pictures(tmp_path: Path, images: Path) -> None:
    turned = Image.new("RGB", (40, 20))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(images / "turned.jpg", exif=exif)
    service(tmp_path, images, output_format="jpeg").attempt()
    with Image.open(tmp_path / "out" / "sub" / "clear.jpg") as clear:
        assert clear.format == "JPEG"
        pixel = clear.getpixel((5, 5))
        assert isinstance(pixel, tuple)
        assert min(pixel) > 250
    with Image.open(tmp_path / "out" / "turned.jpg") as upright:
        assert upright.size == (20, 40)
        assert 0x0112 not in upright.getexif()


def test_damaged_and_huge_images_fail_alone(tmp_path: Path, images: Path) -> None:
    whole = (images / "picture-000.jpg").read_bytes()
    (images / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("1", (20_000, 20_000)).save(images / "bomb.png")
    result = service(tmp_path, images).attempt()
    assert result["processed"] == 9
    reasons = {failure["name"]: failure["reason"] for failure in result["failures"]}
    assert reasons.keys() == {"broken.jpg", "cut.jpg", "bomb.png"}
    assert "truncated" in reasons["cut.jpg"]


def test_names_that_would_fall_together_stay_apart() -> None:
    names = ["a.gif", "a.png", "b.JPG", "c/a.gif"]
    assert output_names(names, "keep") == {
        "a.gif": "a.gif.png",
        "a.png": "a.png.png",
        "b.JPG": "b.JPG",
        "c/a.gif": "c/a.png",
    }


def test_from_and_to_an_object_store(tmp_path: Path, images: Path, s3: S3Server) -> None:
    for path in images.rglob("*"):
        if path.is_file():
            s3.objects[f"photos/in/{path.relative_to(images)}"] = path.read_bytes()
    local = service(tmp_path, images, max_width=100).attempt()
    run = service(tmp_path / "s3", "s3://photos/in", output_url="s3://photos/out", max_width=100)
    result = run.attempt()
    assert {**result, "output_url": ""} == {**local, "output_url": ""}
    stored = {key: data for key, data in s3.objects.items() if key.startswith("photos/out/")}
    assert stored == {f"photos/out/{name}": data for name, data in outputs(tmp_path / "out").items()}


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"source_url": "IN/no/such/folder"}, "source_url: there is no image below .*/no/such/folder"),
        ({"output_url": "IN/deeper"}, "output_url: must not lie in the source folder"),
        ({"output_url": "IN"}, "output_url: must not lie in the source folder"),
        ({"output_url": "IN/../in/./x"}, "output_url: must not lie in the source folder"),
        ({"output_url": "IN/.."}, "output_url: must not lie in the source folder"),
        ({"output_format": "bmp"}, r"\$\.output_format"),
        ({"max_width": 0}, r"\$\.max_width"),
        ({"quality": 101}, r"\$\.quality"),
    ],
)
def test_bad_input_fails_for_good(tmp_path: Path, images: Path, params: dict[str, Any], says: str) -> None:
    params = {name: str(images) + value[2:] if str(value)[:2] == "IN" else value for name, value in params.items()}
    with pytest.raises(PermanentError, match=says):
        service(tmp_path, images, **params).attempt()
