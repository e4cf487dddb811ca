"""One picture: from the bytes of a file to the bytes of what comes out. No files, no network, no state.

Pictures come from cameras, phones, scanners and thirty years of the web; many aren't quite what their format says.
Each ends in one of two ways here: `Made`, with what was lost on the way, or a `BadPictureError` that says why.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from dataclasses import dataclass

from PIL import Image, ImageCms, PngImagePlugin, UnidentifiedImageError

from niyanta.examples.images.parameters import ImageParams

__all__ = ["BadPictureError", "Made", "make"]

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF")
"""Others aren't looked for, whatever a file is called: some of them start programs."""
_MOST_WORKING_BYTES = 440 << 20
"""What fits into a workload's 512 MB beside the program."""
_BYTES_PER_PIXEL = 8
"""Of working memory: a picture is held twice where it is turned or brought into other colours."""
_BYTES_PER_PIXEL_OF_WEBP = 11
_MOST_PIXELS_IN_FINE_WEBP = 8_000_000
"""For more, WebP's better methods need three times the memory."""
_MOST_ON_A_SIDE = {"jpeg": 65_500, "webp": 16_383}
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By the EXIF orientation: what turns the picture upright. From 5 on, width and height change places."""
_WHITES = {"F": (1.0, 255.0, 65_535.0), "I": (255.0, 65_535.0)}
"""What is white in pictures that can hold more: the smallest that takes all of theirs."""
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC

_FIRST_ONLY = "only the first of several pictures was kept"
_FEWER_BITS = "16 or 32 bits a channel became 8"
_ON_WHITE = "transparency was put on white"
_PROFILE_UNREADABLE = "a colour profile that can't be used was left out"
_ORIENTATION_UNKNOWN = "EXIF data can't be read, so which way is up isn't known"


_OTHER_KINDS = (
    (re.compile(rb"$"), "empty"),
    (re.compile(rb"....ftyp(hei[cxms]|hev[cx]|mif1|msf1)", re.DOTALL), "HEIC"),
    (re.compile(rb"....ftyp(avif|avis)", re.DOTALL), "AVIF"),
    (re.compile(rb"....ftyp", re.DOTALL), "a video or raw picture"),
    (re.compile(rb"%PDF"), "PDF"),
    (re.compile(rb"8BPS"), "Photoshop's"),
    (re.compile(rb"(<\?xml.*)?<svg", re.DOTALL), "SVG"),
    (re.compile(rb"\s*<(!doctype )?html", re.IGNORECASE), "a web page"),
)
"""What is often found under the name of an image."""
PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20
"""Pillow's own bound is smaller than profiles of scanners are."""


class BadPictureError(Exception):
    """Nothing can be made of it; the message says why."""


@dataclass(frozen=True)
class Made:
    """What comes out of one picture."""

    picture: bytes
    thumbnail: bytes | None
    resized: bool
    losses: list[str]
    """What isn't as it was: a few fixed sentences, so that they can be counted."""


def make(data: bytes, kind: str, params: ImageParams) -> Made:
    """Decode, turn upright, fit, encode.

    Args:
        data: The file.
        kind: ``jpeg``, ``png`` or ``webp``.
        params: The wanted sizes and quality.

    Raises:
        BadPictureError: It can't be read, is too large, or the format can't hold it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of oddities that it copes with
        try:
            return _make(data, kind, params)
        except BadPictureError:
            raise
        except UnidentifiedImageError:
            raise BadPictureError(f"no image that can be read{_really(data)}") from None
        except Exception as exc:  # a broken file makes Pillow raise anything, from struct.error to KeyError
            raise BadPictureError(str(exc)[:200] or f"it is broken ({type(exc).__name__})") from exc


def _make(data: bytes, kind: str, params: ImageParams) -> Made:
    losses: list[str] = []
    image, profile, resized = _decoded(data, params, losses)
    if kind == "jpeg" and image.mode == "RGBA":
        image = _on_white(image, losses)
    picture = _encoded(image, kind, params.quality, profile)
    thumbnail = None
    if params.thumbnail is not None:
        small = _resized(image, _fit(image.size, params.thumbnail, params.thumbnail))
        thumbnail = _encoded(small, kind, params.quality, profile)
    return Made(picture, thumbnail, resized, losses)


def _decoded(data: bytes, params: ImageParams, losses: list[str]) -> tuple[Image.Image, bytes | None, bool]:
    """The picture in its new size, its colour profile, and whether it was made smaller."""
    file = Image.open(io.BytesIO(data), formats=_FORMATS)
    with contextlib.suppress(Exception):  # of the pictures after the first, which may be broken
        if getattr(file, "is_animated", False):
            losses.append(_FIRST_ONLY)
    if any(";16" in str(tile.args) for tile in file.tile):
        losses.append(_FEWER_BITS)
    can_shrink = file.format in ("JPEG", "MPO")
    if _is_too_large(file, data) and not can_shrink:  # asked before the EXIF data, which may stand behind the pixels
        raise BadPictureError(f"{file.width}x{file.height} is too large to unpack")
    if (
        file.format == "PNG"
    ):  # asked for its EXIF data, Pillow would load it, and an error that came of it be passed over
        file.load()
    orientation = _orientation(file, losses)
    upright = file.size[::-1] if orientation >= 5 else file.size
    wanted = _fit(upright, params.max_width, params.max_height)
    stored = wanted[::-1] if orientation >= 5 else wanted
    if can_shrink:
        # JPEG is decoded at a half, a quarter or an eighth of its size where that is enough: faster, in less memory.
        spare = 1 if _is_too_large(file, data) else 2
        file.draft("", (stored[0] * spare, stored[1] * spare))
        if _is_too_large(file, data):
            raise BadPictureError(f"{file.width}x{file.height} is too large to unpack: set max_width and max_height")
    file.load()
    image, profile = _coloured(_in_eight_bits(file, losses), losses)
    image = _resized(image, stored)
    if orientation in _TURNS:
        image = image.transpose(_TURNS[orientation])
    return image, profile, wanted != upright


def _really(data: bytes) -> str:
    kind = next((kind for head, kind in _OTHER_KINDS if head.match(data[:1000])), None)
    return f": it is {kind}" if kind is not None else ""


def _is_too_large(image: Image.Image, data: bytes) -> bool:
    return len(data) + image.width * image.height * _BYTES_PER_PIXEL > _MOST_WORKING_BYTES


def _orientation(image: Image.Image, losses: list[str]) -> int:
    """How the camera was held: 1 to 8, where 1 is upright."""
    if image.format == "TIFF":  # Pillow turns these itself
        return 1
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # malformed data raises anything
        losses.append(_ORIENTATION_UNKNOWN)
        return 1
    return found if found in _TURNS else 1


def _fit(size: tuple[int, int], max_width: int | None, max_height: int | None) -> tuple[int, int]:
    """The largest size of this shape within the limits; never larger than it is."""
    width, height = size
    scale = min(1.0, (max_width or width) / width, (max_height or height) / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def _in_eight_bits(image: Image.Image, losses: list[str]) -> Image.Image:
    """Grey of 16 or 32 bits, brought to 8. Pillow alone would make all above 255 white."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    wide = image if image.mode == "F" else image.convert("I")
    low, high = wide.getextrema()
    assert isinstance(low, (int, float)) and isinstance(high, (int, float))  # noqa: S101, PT018 -- of one channel
    if not (math.isfinite(low) and math.isfinite(high)):
        raise BadPictureError("has values that are no numbers")
    black = 0.0
    white = next((white for white in _WHITES.get(image.mode, (65_535.0,)) if high <= white), high)
    if low < 0 or white == high:  # no scale is agreed on: from the darkest to the lightest
        black, white = low, high
    scale = 255 / ((white - black) or 1)
    half = 0.0 if image.mode == "F" else 0.5
    if _FEWER_BITS not in losses:
        losses.append(_FEWER_BITS)
    grey = wide.point(lambda value: value * scale + (half - black * scale)).convert("L")
    grey.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return grey


def _coloured(image: Image.Image, losses: list[str]) -> tuple[Image.Image, bytes | None]:
    """The picture in RGB, RGBA or L, and the colour profile that belongs to it (None for sRGB).

    A profile of RGB is kept. One of printing colours or grey wouldn't fit what comes out: colours go over to sRGB.
    """
    if image.mode == "LAB":
        return _to_srgb(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))), None
    mode = "RGBA" if image.has_transparency_data else "L" if image.mode in ("1", "L") else "RGB"
    data = image.info.get("icc_profile")
    if not data:
        if "icc_profile" in image.info:  # there was one that can't be put together
            losses.append(_PROFILE_UNREADABLE)
        return _converted(image, mode), None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = profile.profile.xcolor_space.strip()
        if space == "RGB" and image.mode != "CMYK":
            return _converted(image, "RGB" if mode == "L" else mode), data
        if space == "GRAY" and image.mode in ("1", "L", "LA"):
            grey = _to_srgb(image.convert("L"), profile)
            if mode == "RGBA":
                grey.putalpha(image.convert("RGBA").getchannel("A"))
            return grey, None
        if space == "CMYK" and image.mode == "CMYK":
            return _to_srgb(image, profile), None
    except (ImageCms.PyCMSError, OSError, ValueError):
        pass
    losses.append(_PROFILE_UNREADABLE)
    return _converted(image, mode), None


def _converted(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode and "transparency" not in image.info else image.convert(mode)


def _to_srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    done = ImageCms.profileToProfile(image, profile, srgb, renderingIntent=_INTENT, outputMode="RGB")
    assert done is not None  # noqa: S101 -- not in place
    return done


def _on_white(image: Image.Image, losses: list[str]) -> Image.Image:
    """JPEG has no transparency."""
    if image.getchannel("A").getextrema()[0] != 255:
        losses.append(_ON_WHITE)
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _encoded(image: Image.Image, kind: str, quality: int, profile: bytes | None) -> bytes:
    most = _MOST_ON_A_SIDE.get(kind)
    if most is not None and max(image.size) > most:
        raise BadPictureError(
            f"{image.width}x{image.height} is too large for {kind}, which takes {most:,} on a side: "
            "set max_width and max_height, or another output_format"
        )
    pixels = image.width * image.height
    if kind == "webp" and pixels * _BYTES_PER_PIXEL_OF_WEBP > _MOST_WORKING_BYTES:
        raise BadPictureError(f"{image.width}x{image.height} is too large for webp: set max_width and max_height")
    options: dict[str, object] = {} if kind == "png" else {"quality": quality}
    if kind == "webp" and pixels > _MOST_PIXELS_IN_FINE_WEBP:
        options["method"] = 1
    if profile is not None:
        options["icc_profile"] = profile
    image.info = {}  # comments and the like would be written too
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()
