"""Pictures as people really have them: odd, old, broken, hostile. Made anew by each test, none is committed."""

from __future__ import annotations

import io
import os
import random
import socket
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms, PngImagePlugin

__all__ = [
    "BROKEN",
    "READ",
    "icc",
    "make_awkward_files",
    "marked",
    "noise",
    "patched",
    "png",
    "saved",
    "with_exif",
]


def marked(width: int = 40, height: int = 20, mode: str = "RGB") -> Image.Image:
    """Dark, with a light corner at the top left that shows which way is up."""
    image = Image.new("RGB", (width, height), (40, 60, 80))
    image.paste((250, 240, 230), (0, 0, width // 2, height // 2))
    return image.convert(mode)


def _half_clear() -> Image.Image:
    """Transparent but for the corner."""
    image = marked(mode="RGBA")
    image.putalpha(marked(mode="L").point(lambda value: 255 * (value > 128)))
    return image


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The file that Pillow makes of it."""
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG put together by hand, for what Pillow doesn't write. ``rows`` without their filter bytes."""
    step = len(rows) // height
    filtered = b"".join(b"\0" + rows[at : at + step] for at in range(0, len(rows), step))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(filtered)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _ramp(channels: int) -> bytes:
    """256 steps from black to white in 16 bits, one row high."""
    return b"".join(struct.pack(">H", step * 257) * channels for step in range(256))


def with_exif(data: bytes, plain: bytes | None = None) -> bytes:
    """A JPEG with these bytes as its EXIF."""
    body = b"Exif\0\0" + data
    plain = saved(marked(), "JPEG") if plain is None else plain
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + plain[2:]


def _ifd(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    """Big-endian TIFF data with one directory: tag, type, count, value or offset."""
    packed = b"".join(struct.pack(">HHII", *entry) for entry in entries)
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + packed + struct.pack(">I", following)


def _oriented(orientation: int, kind: str = "JPEG") -> Callable[[], bytes]:
    def make() -> bytes:
        exif = Image.Exif()
        exif[0x0112] = orientation
        return saved(marked(), kind, exif=exif)

    return make


def _moving(kind: str) -> Callable[[], bytes]:
    def make() -> bytes:
        frames = [marked(), Image.new("RGB", (40, 20), "red"), Image.new("RGB", (40, 20), "blue")]
        return saved(frames[0], kind, save_all=True, append_images=frames[1:])

    return make


def _palette_png(transparency: bytes | int | None) -> bytes:
    image = marked(mode="P")
    return saved(image, "PNG", **({} if transparency is None else {"transparency": transparency}))


def icc(kind: Any = "sRGB") -> bytes:
    """A colour profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(kind)).tobytes()


def _other_profile(space: bytes) -> bytes:
    """A profile that says it is of another kind of colours than it is."""
    data = bytearray(icc())
    data[16:20] = space
    return bytes(data)


def _malformed_mpo() -> bytes:
    data = bytearray(_moving("MPO")())
    at = data.index(b"MPF\0")
    data[at + 12 : at + 60] = b"\xff" * 48
    return bytes(data)


def noise(size: int) -> bytes:
    """Bytes that mean nothing, the same each time."""
    return random.Random(size).randbytes(size)


def _text_bomb() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * (70 << 20), zip=True)
    return saved(marked(), "PNG", pnginfo=info)


def patched(data: bytes, at: int, instead: bytes) -> bytes:
    """The data with other bytes from a place on."""
    return data[:at] + instead + data[at + len(instead) :]


def _frame_header(precision: int = 8, height: int | None = None, kind: int = 0xC0) -> bytes:
    """A JPEG whose frame header says something else."""
    data = saved(marked(), "JPEG")
    at = data.index(b"\xff\xc0")
    data = patched(data, at + 1, bytes([kind]))
    data = patched(data, at + 4, bytes([precision]))
    return data if height is None else patched(data, at + 5, struct.pack(">H", height))


def _on_larger_screen(width: int, height: int) -> bytes:
    """A GIF whose picture fills a part of its screen."""
    return patched(saved(marked(mode="P"), "GIF"), 6, struct.pack("<HH", width, height))


def _top_down() -> bytes:
    """A BMP whose first row is the upper one."""
    data = saved(marked().transpose(Image.Transpose.FLIP_TOP_BOTTOM), "BMP")
    return patched(data, 22, struct.pack("<i", -20))


def _in_crumbs() -> bytes:
    """A PNG whose pixels come in parts of a byte each, between empty ones."""
    plain = zlib.compress(b"".join(b"\0" + bytes(40) for _ in range(20)))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 40, 20, 8, 0, 0, 0, 0))]
    for number in plain:
        parts += [(b"IDAT", bytes([number])), (b"IDAT", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in [*parts, (b"IEND", b"")])


def _turned_by_xmp() -> bytes:
    """As some editors say which way is up."""
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    return saved(marked(), "JPEG", xmp=xmp)


_JPEG = saved(marked(400, 200), "JPEG")
_PNG = saved(Image.effect_noise((200, 200), 80), "PNG")
_LAB = Image.merge("LAB", [Image.new("L", (40, 20), value) for value in (200, 128, 128)])

READ: Mapping[str, Callable[[], bytes]] = {
    **{f"turned-{number}.jpg": _oriented(number) for number in range(1, 9)},
    "turned-6.png": _oriented(6, "PNG"),
    "turned-6.webp": _oriented(6, "WEBP"),
    "turned-6.tif": _oriented(6, "TIFF"),
    "turned-0.jpg": _oriented(0),
    "turned-99.jpg": _oriented(99),
    "really-png.jpg": lambda: saved(marked(), "PNG"),
    "really-jpeg.png": lambda: saved(marked(), "JPEG"),
    "really-bmp.gif": lambda: saved(marked(), "BMP"),
    "UPPER.JPG": lambda: saved(marked(), "JPEG"),
    ".hidden.jpg": lambda: saved(marked(), "JPEG"),
    "new\nline.jpg": lambda: saved(marked(), "JPEG"),
    "😀 & <b>.jpg": lambda: saved(marked(), "JPEG"),
    "x" * 251 + ".jpg": lambda: saved(marked(), "JPEG"),
    "y" * 241 + ".gif": lambda: saved(marked(), "GIF"),
    "grey16.png": lambda: png(256, 1, 16, 0, _ramp(1)),
    "grey16-key.png": lambda: png(256, 1, 16, 0, _ramp(1), (b"tRNS", b"\0\0")),
    "grey16-alpha.png": lambda: png(256, 1, 16, 4, _ramp(2)),
    "rgb16.png": lambda: png(256, 1, 16, 2, _ramp(3)),
    "rgba16.png": lambda: png(256, 1, 16, 6, _ramp(4)),
    "grey16.tif": lambda: saved(Image.frombytes("I;16B", (256, 1), _ramp(1)), "TIFF"),
    "int32.tif": lambda: saved(marked(mode="I").point(lambda v: v * 70_000.0), "TIFF"),
    "negative.tif": lambda: saved(marked(mode="I").point(lambda v: v - 128.0), "TIFF"),
    "float.tif": lambda: saved(marked(mode="F").point(lambda v: v / 255 + 0.0), "TIFF"),
    "float-wide.tif": lambda: saved(marked(mode="F"), "TIFF"),
    "cmyk.jpg": lambda: saved(marked(mode="CMYK"), "JPEG"),
    "cmyk.tif": lambda: saved(marked(mode="CMYK"), "TIFF"),
    "cmyk-profile-of-rgb.jpg": lambda: saved(marked(mode="CMYK"), "JPEG", icc_profile=icc()),
    "lab.tif": lambda: saved(_LAB, "TIFF"),
    "ycbcr.tif": lambda: saved(marked(mode="YCbCr"), "TIFF"),
    "lzw.tif": lambda: saved(marked(), "TIFF", compression="tiff_lzw"),
    "fax.tif": lambda: saved(marked(mode="1"), "TIFF", compression="group4"),
    "one-bit.png": lambda: saved(marked(mode="1"), "PNG"),
    "grey-alpha.png": lambda: saved(marked(mode="LA"), "PNG"),
    "palette.png": lambda: _palette_png(None),
    "palette-clear.png": lambda: _palette_png(0),
    "palette-alphas.png": lambda: _palette_png(bytes(range(256))),
    "colour-key.png": lambda: saved(marked(), "PNG", transparency=(40, 60, 80)),
    "grey-key.png": lambda: saved(marked(mode="L"), "PNG", transparency=56),
    "one-bit-key.png": lambda: saved(marked(mode="1"), "PNG", transparency=0),
    "clear.gif": lambda: saved(_half_clear(), "GIF"),
    "alpha.webp": lambda: saved(_half_clear(), "WEBP", lossless=True),
    "moving.gif": _moving("GIF"),
    "moving.png": _moving("PNG"),
    "moving.webp": _moving("WEBP"),
    "pages.tif": _moving("TIFF"),
    "phone.jpg": _moving("MPO"),
    "phone-malformed.jpg": _malformed_mpo,
    "moving-none.png": lambda: png(1, 1, 8, 0, b"\x50", (b"acTL", struct.pack(">II", 0, 0))),
    "moving-short.png": lambda: _moving("PNG")()[:-80],
    "profile.jpg": lambda: saved(marked(), "JPEG", icc_profile=icc()),
    "profile.png": lambda: saved(marked(), "PNG", icc_profile=icc()),
    "profile.webp": lambda: saved(marked(), "WEBP", icc_profile=icc()),
    "profile.tif": lambda: saved(marked(), "TIFF", icc_profile=icc()),
    "profile-palette.png": lambda: saved(marked(mode="P"), "PNG", icc_profile=icc()),
    "profile-noise.jpg": lambda: saved(marked(), "JPEG", icc_profile=noise(3000)),
    "profile-short.jpg": lambda: saved(marked(), "JPEG", icc_profile=icc()[:200]),
    "profile-of-cmyk.jpg": lambda: saved(marked(), "JPEG", icc_profile=_other_profile(b"CMYK")),
    "profile-of-rgb.jpg": lambda: saved(marked(mode="L"), "JPEG", icc_profile=icc()),
    "profile-of-grey.png": lambda: saved(marked(mode="L"), "PNG", icc_profile=_other_profile(b"GRAY")),
    "exif-noise.jpg": lambda: with_exif(noise(200)),
    "exif-empty.jpg": lambda: with_exif(b""),
    "exif-short.jpg": lambda: with_exif(b"MM\0*\0"),
    "exif-far.jpg": lambda: with_exif(b"MM\0*\x7f\xff\xff\xff"),
    "exif-round.jpg": lambda: with_exif(_ifd((0x0112, 3, 1, 1 << 16), following=8)),
    "exif-ifd-round.jpg": lambda: with_exif(_ifd((0x8769, 4, 1, 8), (0x8825, 4, 1, 8))),
    "exif-many.jpg": lambda: with_exif(_ifd((0x0112, 3, 0xFFFFFFFF, 1))),
    "exif-text.jpg": lambda: with_exif(_ifd((0x0112, 2, 4, 0x41424300))),
    "exif-type.jpg": lambda: with_exif(_ifd((0x0112, 99, 1, 6))),
    "exif-by-zero.jpg": lambda: with_exif(_ifd((0x011A, 5, 1, 26), (0x0128, 3, 1, 2 << 16)) + bytes(8)),
    "exif-two.jpg": lambda: with_exif(_ifd((0x0112, 3, 2, 6))),
    "exif-noise.png": lambda: png(1, 1, 8, 0, b"\x50", (b"eXIf", noise(64))),
    "exif-noise.webp": lambda: saved(marked(), "WEBP", exif=noise(64)),
    "comment.jpg": lambda: saved(marked(), "JPEG", comment=noise(65_000)),
    "tail.jpg": lambda: saved(marked(), "JPEG") + noise(5000),
    "tail.png": lambda: saved(marked(), "PNG") + noise(5000),
    "no-end.png": lambda: saved(marked(), "PNG")[:-12],
    "one-pixel.gif": lambda: saved(Image.new("P", (1, 1)), "GIF"),
    "thin.png": lambda: saved(Image.new("L", (1, 5000)), "PNG"),
    "wide.png": lambda: saved(Image.new("L", (17_000, 2), 90), "PNG"),
    "two-bits.png": lambda: saved(marked().quantize(4), "PNG", bits=2),
    "four-bits.png": lambda: saved(marked().quantize(16), "PNG", bits=4),
    "few-colours.png": lambda: png(4, 1, 2, 3, b"\x1b", (b"PLTE", bytes(range(12)))),
    "beyond-palette.png": lambda: png(4, 1, 8, 3, b"\0\1\x07\xff", (b"PLTE", bytes(6))),
    "gamma.png": lambda: png(4, 1, 8, 0, bytes(4), (b"gAMA", struct.pack(">I", 100_000))),
    "gamma-zero.png": lambda: png(4, 1, 8, 0, bytes(4), (b"gAMA", bytes(4))),
    "no-density.png": lambda: png(4, 1, 8, 0, bytes(4), (b"pHYs", bytes(9))),
    "odd-time.png": lambda: png(4, 1, 8, 0, bytes(4), (b"tIME", b"\xff" * 7)),
    "odd-text.png": lambda: png(4, 1, 8, 0, bytes(4), (b"iTXt", b"\xff\0\1\0\0\0\xff\xfe"), (b"tEXt", b"")),
    "unknown-part.png": lambda: png(4, 1, 8, 0, bytes(4), (b"zzZz", noise(900))),
    "high-range.png": lambda: png(4, 1, 8, 2, bytes(12), (b"cICP", b"\x09\x10\0\1")),
    "crumbs.png": _in_crumbs,
    "on-screen.gif": lambda: _on_larger_screen(80, 60),
    "beyond-screen.gif": lambda: _on_larger_screen(8, 6),
    "old.gif": lambda: saved(marked(mode="P"), "GIF").replace(b"GIF89a", b"GIF87a"),
    "grey.bmp": lambda: saved(marked(mode="L"), "BMP"),
    "one-bit.bmp": lambda: saved(marked(mode="1"), "BMP"),
    "palette.bmp": lambda: saved(marked(mode="P"), "BMP"),
    "alpha.bmp": lambda: saved(_half_clear(), "BMP"),
    "top-down.bmp": _top_down,
    "packbits.tif": lambda: saved(marked(), "TIFF", compression="packbits"),
    "large-offsets.tif": lambda: saved(marked(), "TIFF", big_tiff=True),
    "palette.tif": lambda: saved(marked(mode="P"), "TIFF"),
    "alpha.tif": lambda: saved(_half_clear(), "TIFF"),
    "no-density.tif": lambda: saved(marked(), "TIFF", tiffinfo={282: 0.0, 283: 0.0}),
    "rgb.jpg": lambda: saved(marked(), "JPEG", keep_rgb=True),
    "fine-colours.jpg": lambda: saved(marked(), "JPEG", subsampling="4:4:4"),
    "no-density.jpg": lambda: saved(marked(), "JPEG", dpi=(0, 0)),
    "restarts.jpg": lambda: saved(marked(), "JPEG", restart_marker_rows=1),
    "xmp-turned.jpg": _turned_by_xmp,
    "large-profile.png": lambda: saved(marked(), "PNG", icc_profile=icc() + bytes(3 << 20)),
    "alpha-lossy.webp": lambda: saved(_half_clear(), "WEBP", quality=50),
    "megapixels.jpg": lambda: saved(Image.new("L", (10_000, 10_000), 90), "JPEG", quality=10),
}
"""What can be read, and has to be."""

BROKEN: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "zero.jpg": (lambda: b"", "no image that can be read: it is empty"),
    "text.jpg": (lambda: b"this is no image", "no image that can be read"),
    "noise.png": (lambda: noise(4000), "no image that can be read"),
    "only-magic.png": (lambda: b"\x89PNG\r\n\x1a\n", "."),
    "header.png": (lambda: _PNG[:40], "."),
    "cut.jpg": (lambda: _JPEG[: len(_JPEG) // 2], "truncated"),
    "cut.png": (lambda: _PNG[: len(_PNG) // 2], "truncated|broken"),
    "cut.webp": (lambda: saved(marked(400, 200), "WEBP")[:60], "."),
    "cut.tif": (lambda: saved(marked(), "TIFF")[:80], "."),
    "checksum.png": (lambda: _PNG.replace(b"IDAT", b"IDAX"), "."),
    "no-pictures.gif": (lambda: b"GIF89a\x01\0\x01\0\0\0\0;", "."),
    "really-eps.jpg": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "no image"),
    "really-tga.bmp": (lambda: saved(marked(), "TGA"), "no image"),
    "really-ico.png": (lambda: saved(marked(), "ICO"), "no image"),
    "html.gif": (lambda: b"<!doctype html><title>404</title>", "no image"),
    "bomb.png": (lambda: saved(Image.new("1", (20_000, 20_000)), "PNG"), "bomb|too large"),
    "too-many-pixels.png": (lambda: saved(Image.new("1", (10_000, 10_000)), "PNG"), "too large"),
    "claims.png": (lambda: png(1 << 30, 1, 8, 0, b"\0"), "bomb|too large"),
    "no-size.png": (lambda: png(0, 1, 8, 0, b"\0"), "."),
    "text-bomb.png": (_text_bomb, "."),
    "profile-bomb.png": (
        lambda: png(1, 1, 8, 0, b"\0", (b"iCCP", b"x\0\0" + zlib.compress(bytes(80 << 20)))),
        ".",
    ),
    "really-heic.jpg": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + noise(500), "HEIC"),
    "really-avif.png": (lambda: b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + noise(500), "AVIF"),
    "raw.jpg": (lambda: b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + noise(500), "no image"),
    "really-svg.png": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "it is SVG"),
    "really-pdf.jpg": (lambda: b"%PDF-1.7\n", "it is PDF"),
    "really-psd.tif": (lambda: b"8BPS\0\1" + bytes(30), "it is Photoshop's"),
    "no-palette.png": (lambda: png(4, 1, 8, 3, bytes(4)), r"it is broken \(AssertionError\)"),
    "large-screen.gif": (lambda: _on_larger_screen(65_535, 65_535), "bomb|too large"),
    "twelve-bits.jpg": (lambda: _frame_header(precision=12), "."),
    "no-height.jpg": (lambda: _frame_header(height=0), "."),
    "lossless.jpg": (lambda: _frame_header(kind=0xC3), "."),
    "cut.gif": (lambda: saved(marked(400, 200, "P"), "GIF")[:200], "."),
    "cut.bmp": (lambda: saved(marked(), "BMP")[:100], "."),
    "no-numbers.tif": (
        lambda: saved(Image.frombytes("F", (2, 1), struct.pack("<2f", float("nan"), float("inf"))), "TIFF"),
        "no numbers",
    ),
}
"""What can't, and what the reason looks like."""


def make_awkward_files(folder: Path) -> dict[str, str]:
    """Names and things in a folder that aren't plain files; gives the reason that each must get."""
    outside = folder.parent / "outside.jpg"
    outside.write_bytes(_JPEG)
    (folder / "folder.jpg").mkdir(parents=True)
    (folder / "folder.jpg" / "inside.jpg").write_bytes(_JPEG)
    (folder / "thumbnails").mkdir()
    (folder / "thumbnails" / "inside.jpg").write_bytes(_JPEG)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "link.jpg").symlink_to("folder.jpg/inside.jpg")
    (folder / "broken-link.jpg").symlink_to("nothing.jpg")
    (folder / "circle.jpg").symlink_to("circle.jpg")
    (folder / "linked-folder").symlink_to("folder.jpg")
    (folder / "out.jpg").symlink_to("/etc/hostname")
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        os.chdir(folder)  # the path of a socket is short
        try:
            listening.bind("socket.jpg")
        finally:
            os.chdir(before)
    Path(os.fsdecode(bytes(folder) + b"/caf\xe9.jpg")).write_bytes(_JPEG)
    return {
        "pipe.jpg": "this is no regular file",
        "broken-link.jpg": "there is no such file on this worker",
        "circle.jpg": "links that lead round in a circle",
        "linked-folder/": "links to folders aren't followed",
        "out.jpg": "a link that leads to where this worker may not read",
        "socket.jpg": "this is no regular file",
        "caf\\xe9.jpg": "the name isn't UTF-8; rename the file",
    }
