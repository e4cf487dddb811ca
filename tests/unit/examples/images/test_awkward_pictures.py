"""No picture ends a folder: each comes out, or is named with its reason; what is lost on the way is counted."""

from __future__ import annotations

import errno
import os
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from niyanta.errors import PermanentError
from support import awkward_pictures, rare_pictures
from support.attempts import Service
from support.awkward_pictures import make_awkward_files, marked, png
from support.rare_pictures import LIKE_MARKED
from support.s3_server import S3Server

READ = {**awkward_pictures.READ, **rare_pictures.READ}
BROKEN = {**awkward_pictures.BROKEN, **rare_pictures.BROKEN}
PICTURES = {**READ, **{name: make for name, (make, _) in BROKEN.items()}}

FIRST_ONLY = "only the first of several pictures was kept"
FEWER_BITS = "16 or 32 bits a channel became 8"
ON_WHITE = "transparency was put on white"
PROFILE = "a colour profile that can't be used was left out"
EXIF = "EXIF data can't be read, so which way is up isn't known"


def run_folder(tmp_path: Path, **params: Any) -> tuple[dict[str, Any], Service]:
    wanted = {"source_url": str(tmp_path / "in"), "output_url": str(tmp_path / "out"), **params}
    run = Service("image_processing", wanted, tmp_path / "scratch")
    return run.attempt(), run


def put(folder: Path, *names: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(PICTURES[name]())


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


@pytest.fixture(scope="module")
def all_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "in"
    put(folder, *PICTURES)
    return folder


@pytest.mark.parametrize("output_format", ["keep", "jpeg", "png", "webp"])
def test_a_folder_of_all_of_them(tmp_path: Path, all_pictures: Path, output_format: str) -> None:
    """Each is there or has its row; nothing is raised, not even a warning."""
    (tmp_path / "in").symlink_to(all_pictures)
    result, _ = run_folder(tmp_path, output_format=output_format, thumbnail=8, max_width=5000, max_height=5000)
    reasons = {failure["name"]: failure["reason"] for failure in result["failures"]}
    too_long = {name for name in READ if len(name) == 255} if output_format == "webp" else set()
    assert reasons.keys() == BROKEN.keys() | too_long
    assert result["images"] == len(PICTURES) == result["processed"] + result["failed"]
    made = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(made) == 2 * result["processed"]
    for path in made:
        assert max(opened(path).size) <= 5000


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_gets_its_reason(tmp_path: Path, name: str) -> None:
    put(tmp_path / "in", name, "UPPER.JPG")
    result, run = run_folder(tmp_path)
    assert (result["processed"], result["failed"]) == (1, 1)
    (failure,) = result["failures"]
    assert failure["name"] == name
    assert re.search(BROKEN[name][1], failure["reason"])
    assert f"{name}: {failure['reason']}" in [line for _, line in run.log]


@pytest.mark.parametrize("name", [name for name in READ if name.startswith("turned")])
def test_all_ways_to_hold_a_camera(tmp_path: Path, name: str) -> None:
    put(tmp_path / "in", name)
    run_folder(tmp_path, output_format="png")
    number = int(name.partition("-")[2].partition(".")[0])
    image = opened(next((tmp_path / "out").iterdir())).convert("L")
    width, height = image.size
    assert (width, height) == ((20, 40) if 5 <= number <= 8 else (40, 20))
    corners = ((0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1))
    light = [number for number, corner in enumerate(corners) if image.getpixel(corner) > 150]  # type: ignore[operator]
    # Where the first row and the first column of the stored picture are, in the words of the EXIF standard.
    assert light == {1: [0], 2: [1], 3: [2], 4: [3], 5: [0], 6: [1], 7: [2], 8: [3]}.get(number, [0])


def test_a_picture_that_an_editor_has_turned(tmp_path: Path) -> None:
    put(tmp_path / "in", "xmp-turned.jpg")
    run_folder(tmp_path)
    image = opened(tmp_path / "out" / "xmp-turned.jpg").convert("L")
    assert image.size == (20, 40)
    assert image.getpixel((19, 0)) > 150  # type: ignore[operator]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "two-bits.png",
            "four-bits.png",
            "alpha.bmp",
            "top-down.bmp",
            "packbits.tif",
            "large-offsets.tif",
            "rgb.jpg",
        ),
        *LIKE_MARKED,
    ],
)
def test_unusual_ways_to_store_look_the_same(tmp_path: Path, name: str) -> None:
    put(tmp_path / "in", name)
    run_folder(tmp_path, output_format="png")
    made, expected = opened(next((tmp_path / "out").iterdir())).convert("L"), marked(mode="L")
    for at in ((2, 2), (30, 15)):
        assert abs(made.getpixel(at) - expected.getpixel(at)) <= 4  # type: ignore[operator]


@pytest.mark.parametrize("name", ["grey16.png", "grey16-key.png", "grey16-alpha.png", "rgb16.png", "grey16.tif"])
@pytest.mark.parametrize("output_format", ["jpeg", "png", "webp"])
def test_sixteen_bits_become_eight_and_stay_a_ramp(tmp_path: Path, name: str, output_format: str) -> None:
    put(tmp_path / "in", name)
    result, _ = run_folder(tmp_path, output_format=output_format, quality=100)
    assert result["losses"][FEWER_BITS] == 1
    image = opened(next((tmp_path / "out").iterdir())).convert("RGBA").convert("L")
    values = [image.getpixel((x, 0)) for x in range(256)]
    if name != "grey16-alpha.png" or output_format == "png":
        assert max(abs(value - x) for x, value in enumerate(values)) <= 3  # type: ignore[operator]


@pytest.mark.parametrize("name", ["float.tif", "float-wide.tif", "cmyk.jpg", "cmyk.tif", "ycbcr.tif", "lzw.tif"])
def test_colours_of_other_kinds_look_the_same(tmp_path: Path, name: str) -> None:
    put(tmp_path / "in", name)
    run_folder(tmp_path, output_format="png")
    made, expected = opened(next((tmp_path / "out").iterdir())).convert("L"), marked(mode="L")
    for at in ((2, 2), (30, 15)):
        assert abs(made.getpixel(at) - expected.getpixel(at)) <= 4  # type: ignore[operator]


@pytest.mark.parametrize(
    "name", ["palette-alphas.png", "colour-key.png", "grey-key.png", "one-bit-key.png", "clear.gif", "alpha.webp"]
)
def test_transparency_stays_or_is_said_to_go(tmp_path: Path, name: str) -> None:
    put(tmp_path / "in", name)
    result, _ = run_folder(tmp_path, output_format="webp", output_url=str(tmp_path / "clear"))
    assert result["losses"] == {}
    extremes: Any = opened(next((tmp_path / "clear").iterdir())).getextrema()
    assert extremes[3][0] < 255
    result, _ = run_folder(tmp_path, output_format="jpeg")
    assert result["losses"] == {ON_WHITE: 1}


@pytest.mark.parametrize("output_format", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("name", [name for name in READ if name.startswith("profile")])
def test_colour_profiles_stay_or_are_said_to_go(tmp_path: Path, name: str, output_format: str) -> None:
    put(tmp_path / "in", name)
    result, _ = run_folder(tmp_path, output_format=output_format, thumbnail=8)
    unusable = name in (
        *("profile-noise.jpg", "profile-short.jpg", "profile-less-one.jpg", "profile-of-cmyk.jpg"),
        "profile-of-grey.png",
    )
    assert result["losses"] == ({PROFILE: 1} if unusable else {})
    for path in (tmp_path / "out").rglob("*.*"):
        assert bool(opened(path).info.get("icc_profile")) != unusable


@pytest.mark.parametrize("name", ["moving.gif", "moving.png", "moving.webp", "pages.tif", "phone.jpg"])
def test_of_several_pictures_the_first_is_kept_and_the_others_are_counted(tmp_path: Path, name: str) -> None:
    put(tmp_path / "in", name)
    result, run = run_folder(tmp_path)
    assert result["losses"] == {FIRST_ONLY: 1}
    assert (1, f"{name}: {FIRST_ONLY}") in run.log


def test_exif_that_can_t_be_read_is_said(tmp_path: Path) -> None:
    names = [name for name in READ if name.startswith("exif")]
    put(tmp_path / "in", *names)
    result, _ = run_folder(tmp_path)
    assert (result["processed"], result["losses"]) == (len(names), {EXIF: 2})


def test_what_lies_in_a_folder_that_is_no_plain_file(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    expected = make_awkward_files(tmp_path / "in")
    put(tmp_path / "in", "UPPER.JPG")
    (tmp_path / "in" / "a.heic").write_bytes(b"x")
    (tmp_path / "in" / "b.HEIC").write_bytes(b"x")
    (tmp_path / "in" / "README").write_bytes(b"x")
    result, _ = run_folder(tmp_path, thumbnail=8)
    assert {failure["name"]: failure["reason"] for failure in result["failures"]} == expected
    assert (result["processed"], result["failed"]) == (4, len(expected))
    assert (result["skipped"], result["skipped_endings"]) == (3, {".heic": 2, "": 1})
    out = tmp_path / "out"
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == [
        "UPPER.JPG",
        "folder.jpg/inside.jpg",
        "link.jpg",
        "thumbnails-2/UPPER.JPG",
        "thumbnails-2/folder.jpg/inside.jpg",
        "thumbnails-2/link.jpg",
        "thumbnails-2/thumbnails/inside.jpg",
        "thumbnails/inside.jpg",
    ]
    assert result["thumbnails_url"] == f"{out}/thumbnails-2"
    assert opened(out / "thumbnails" / "inside.jpg").size == (400, 200)


def test_too_wide_for_webp_says_what_to_do(tmp_path: Path) -> None:
    put(tmp_path / "in", "wide.png", "UPPER.JPG")
    result, _ = run_folder(tmp_path, output_format="webp")
    assert result["failures"] == [
        {
            "name": "wide.png",
            "reason": "17000x2 is too large for webp, which takes 16,383 on a side: "
            "set max_width and max_height, or another output_format",
        }
    ]
    result, _ = run_folder(tmp_path, output_format="webp", max_width=16_000)
    assert result["failed"] == 0


def test_no_two_images_share_an_output(tmp_path: Path) -> None:
    names = [
        "a.gif",
        "a.png",
        "a.gif.png",
        "a.gif-2.png",
        "b.tif",
        "b.png/c.gif",
        "b.png/c.GIF",
        "b.png/c.bmp",
        "d.png",
    ]
    for number, name in enumerate(names, 1):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(png(number, 1, 8, 0, bytes(number)))
    result, _ = run_folder(tmp_path)
    made = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert result["failures"] == []
    assert sorted(opened(path).width for path in made) == list(range(1, len(names) + 1))


def test_names_too_long_for_their_new_ending_are_rows(tmp_path: Path) -> None:
    name = "x" * 251 + ".jpg"
    put(tmp_path / "in", name, "UPPER.JPG")
    result, _ = run_folder(tmp_path, output_format="webp")
    (failure,) = result["failures"]
    assert failure["name"] == name
    assert failure["reason"].startswith("output_url: the name is too long")
    assert result["processed"] == 1


def test_stopped_anywhere_the_rows_and_losses_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("niyanta.examples.images.processing.SAVE_EVERY_SECONDS", 0.0)
    (tmp_path / "in").mkdir()
    make_awkward_files(tmp_path / "in")
    put(tmp_path / "in", "moving.gif", "cut.jpg", "grey16.png", "exif-noise.png", "profile-noise.jpg")
    whole, run = run_folder(tmp_path, thumbnail=8)
    parts = Service("image_processing", run.params, tmp_path / "other").until_done()
    assert parts == whole


def test_keys_that_are_no_names_of_files_write_nowhere_else(tmp_path: Path, s3: S3Server) -> None:
    """A key may be any text; as a path, some would lead out of the output folder or meet another."""
    (tmp_path / "other").mkdir()
    good = PICTURES["UPPER.JPG"]()
    strange = ["../other/a.jpg", "x/../../other/b.jpg", "x//c.gif", "./d.jpg", "x/./e.jpg", "x/.."]
    for key in [*strange, "x/c.gif", "folder/"]:
        s3.objects[f"photos/in/{key}"] = good
    result, _ = run_folder(tmp_path, source_url="s3://photos/in")
    reason = "the key has an empty part, . or .. in it; rename the object"
    assert {failure["name"]: failure["reason"] for failure in result["failures"]} == dict.fromkeys(
        strange[:5], reason
    )
    assert (result["processed"], result["skipped"]) == (1, 1)
    assert [path.name for path in (tmp_path / "out" / "x").iterdir()] == ["c.png"]
    assert list((tmp_path / "other").iterdir()) == []


def test_files_and_folders_that_may_not_be_read_are_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, who may read everything: so the system says no where the name does."""
    open_file, list_folder = os.open, os.scandir

    def refusing(use: Any) -> Any:
        def used(path: Any, *rest: Any, **options: Any) -> Any:
            if "secret" in str(path):
                raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
            return use(path, *rest, **options)

        return used

    put(tmp_path / "in", "UPPER.JPG")
    (tmp_path / "in" / "secret.jpg").write_bytes(PICTURES["UPPER.JPG"]())
    (tmp_path / "in" / "secrets").mkdir()
    monkeypatch.setattr(os, "open", refusing(open_file))
    monkeypatch.setattr(os, "scandir", refusing(list_folder))
    result, _ = run_folder(tmp_path)
    assert result["processed"] == 1
    assert result["failures"] == [
        {"name": "secret.jpg", "reason": f"source_url: the worker may not use it: {tmp_path}/in/secret.jpg"},
        {"name": "secrets/", "reason": "the worker may not use it"},
    ]


def test_an_output_that_can_t_be_written_ends_it_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It isn't the fault of any picture, and the next would meet the same."""
    put(tmp_path / "in", "UPPER.JPG", "cut.jpg")
    make_folder = os.mkdir

    def refusing(path: Any, *arguments: Any, **options: Any) -> None:
        if path == "out":
            raise OSError(errno.EROFS, "Read-only file system")
        make_folder(path, *arguments, **options)

    monkeypatch.setattr(os, "mkdir", refusing)
    with pytest.raises(PermanentError, match=r"output_url: the file system is read-only: .*/out/UPPER.JPG"):
        run_folder(tmp_path)
