"""Pictures in the rarer forms of their formats, put together by hand where Pillow doesn't write them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from PIL import Image

from support.awkward_pictures import icc, marked, noise, patched, png, saved, with_exif

__all__ = ["BROKEN", "LIKE_MARKED", "READ"]


def _segment(number: int, data: bytes) -> bytes:
    return bytes([0xFF, number]) + struct.pack(">H", len(data) + 2) + data


def _jpeg_with(*segments: bytes, plain: bytes | None = None) -> bytes:
    """A JPEG with these segments in front of its own."""
    plain = saved(marked(), "JPEG") if plain is None else plain
    return plain[:2] + b"".join(segments) + plain[2:]


def _adobe(transform: int) -> bytes:
    return _segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


def _little_endian(kind: int, orientation: int) -> bytes:
    """EXIF in the other order of bytes, the orientation as a short (3), a long (4) or a byte (1)."""
    return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0112, kind, 1, orientation) + bytes(4)


def _exif_with_thumbnail() -> bytes:
    inner = saved(Image.new("RGB", (16, 12), "red"), "JPEG")
    first = struct.pack(">HHHIII", 1, 0x0112, 3, 1, 1 << 16, 26)
    second = struct.pack(">HHHII", 2, 0x0201, 4, 1, 56) + struct.pack(">HHII", 0x0202, 4, 1, len(inner)) + bytes(4)
    return b"MM\0*\0\0\0\x08" + first + second + inner


def _profile_in_parts(*, without: int | None = None) -> bytes:
    """A profile that fills several segments; one of them may be missing."""
    profile = icc() + bytes(150_000)
    parts = [profile[at : at + 65_000] for at in range(0, len(profile), 65_000)]
    segments = [
        _segment(0xE2, b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part)
        for number, part in enumerate(parts, 1)
        if number != without
    ]
    return _jpeg_with(*segments)


def _bmp(header: bytes, pixels: bytes, palette: bytes = b"") -> bytes:
    offset = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + header + palette + pixels


def _info(width: int, height: int, bits: int, compression: int, size: int, colours: int = 0) -> bytes:
    return struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, size, 0, 0, colours, 0)


_TWO = b"\x50\x3c\x28\0" + b"\xe6\xf0\xfa\0"
"""The two colours of `marked`, as a BMP's palette has them."""


def _run_lengths() -> bytes:
    """A BMP with runs, the lower half first."""
    lower, upper = b"\x28\0\0\0", b"\x14\x01\x14\0\0\0"
    pixels = lower * 10 + upper * 10 + b"\0\1"
    return _bmp(_info(40, 20, 8, 1, len(pixels), 2), pixels, _TWO)


def _sixteen_bits() -> bytes:
    """A BMP with five or six bits a colour."""

    def dot(red: int, green: int, blue: int) -> bytes:
        return struct.pack("<H", (red >> 3) << 11 | (green >> 2) << 5 | blue >> 3)

    dark, light = dot(40, 60, 80), dot(250, 240, 230)
    pixels = dark * 40 * 10 + (light * 20 + dark * 20) * 10
    return _bmp(_info(40, 20, 16, 3, len(pixels)), pixels, struct.pack("<III", 0xF800, 0x7E0, 0x1F))


def _of_another_system() -> bytes:
    """A BMP with the oldest of headers."""
    dark, light = b"\x50\x3c\x28", b"\xe6\xf0\xfa"
    return _bmp(struct.pack("<IHHHH", 12, 40, 20, 1, 24), dark * 400 + (light * 20 + dark * 20) * 10)


def _no_alpha_meant() -> bytes:
    """Four bytes a pixel, of which the fourth is nothing."""
    dark, light = b"\x50\x3c\x28\0", b"\xe6\xf0\xfa\0"
    return _bmp(_info(40, 20, 32, 0, 3200), dark * 400 + (light * 20 + dark * 20) * 10)


def _gif(*, frames: int = 1, delay: int = 0, disposal: int = 2, comment: bytes = b"") -> bytes:
    images = [marked(mode="P"), *(Image.new("P", (40, 20), number % 255) for number in range(1, frames))]
    options = {"duration": delay, "disposal": disposal, "loop": 0, **({"comment": comment} if comment else {})}
    return saved(images[0], "GIF", save_all=frames > 1, append_images=images[1:], **options)


def _late_orientation() -> bytes:
    """A PNG that says behind its pixels which way is up."""
    data = saved(marked(), "PNG")
    whole = saved(marked(), "PNG", exif=_little_endian(3, 6))
    at = whole.index(b"eXIf") - 4
    chunk = whole[at : at + 12 + struct.unpack(">I", whole[at : at + 4])[0]]
    return data[:-12] + chunk + data[-12:]


def _riff(*chunks: tuple[bytes, bytes], flags: int = 0) -> bytes:
    """A WebP with more in it than its picture."""
    plain = saved(marked(), "WEBP", quality=95)
    extended = bytes([flags, 0, 0, 0]) + struct.pack("<I", 39)[:3] + struct.pack("<I", 19)[:3]
    body = b"VP8X" + struct.pack("<I", 10) + extended + plain[12:]
    for kind, data in chunks:
        body += kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


LIKE_MARKED: Mapping[str, Callable[[], bytes]] = {
    "half-colours.jpg": lambda: saved(marked(), "JPEG", subsampling="4:2:2"),
    "few-colours.jpg": lambda: saved(marked(), "JPEG", subsampling="4:1:1", quality=95),
    "stepwise.jpg": lambda: saved(marked(), "JPEG", progressive=True, quality=95),
    "best.jpg": lambda: saved(marked(), "JPEG", quality=100, optimize=True),
    "with-padding.jpg": lambda: _jpeg_with(b"\xff" * 50 + _segment(0xFE, b"between")),
    "comments.jpg": lambda: _jpeg_with(*[_segment(0xFE, noise(60_000))] * 5),
    "adobe-colours.jpg": lambda: _jpeg_with(_adobe(1)),
    "adobe-odd.jpg": lambda: _jpeg_with(_adobe(200)),
    "long-orientation.jpg": lambda: with_exif(_little_endian(4, 1)),
    "byte-orientation.jpg": lambda: with_exif(_little_endian(1, 1)),
    "thumbnail-inside.jpg": lambda: with_exif(_exif_with_thumbnail()),
    "maker-note.jpg": lambda: with_exif(
        b"MM\0*\0\0\0\x08" + struct.pack(">HHHII", 1, 0x927C, 7, 60_000, 26) + bytes(4) + noise(60_000)
    ),
    "profile-in-parts.jpg": _profile_in_parts,
    "several-notes.jpg": lambda: _jpeg_with(*[_segment(0xED, b"Photoshop 3.0\0" + noise(200))] * 3),
    "runs.bmp": _run_lengths,
    "sixteen-bits.bmp": _sixteen_bits,
    "oldest.bmp": _of_another_system,
    "no-alpha-meant.bmp": _no_alpha_meant,
    "behind-a-gap.bmp": lambda: _bmp(
        _info(40, 20, 8, 0, 800, 2), (b"\0" * 40) * 10 + (b"\1" * 20 + b"\0" * 20) * 10, _TWO
    ),
    "predicted.tif": lambda: saved(marked(), "TIFF", compression="tiff_lzw", tiffinfo={317: 2}),
    "deflate.tif": lambda: saved(marked(), "TIFF", compression="tiff_deflate"),
    "in-jpeg.tif": lambda: saved(marked(), "TIFF", compression="jpeg", quality=95),
    "one-strip.tif": lambda: saved(marked(), "TIFF", strip_size=1 << 20),
    "many-strips.tif": lambda: saved(marked(), "TIFF", compression="tiff_lzw", strip_size=120),
    "described.tif": lambda: saved(marked(), "TIFF", description="x" * 100_000, software="é", copyright="\0"),
    "lossless.webp": lambda: saved(marked(), "WEBP", lossless=True),
    "nearly-lossless.webp": lambda: saved(marked(), "WEBP", quality=100, method=6),
    "more-inside.webp": lambda: _riff((b"ABCD", noise(999)), (b"XMP ", b"no xml")),
    "claims-a-profile.webp": lambda: _riff(flags=0x20),
    "a b.jpg": lambda: saved(marked(), "JPEG"),
    "%2e%2e%2f.jpg": lambda: saved(marked(), "JPEG"),
    "-rf.jpg": lambda: saved(marked(), "JPEG"),
    "back\\slash.jpg": lambda: saved(marked(), "JPEG"),
    "CON.jpg": lambda: saved(marked(), "JPEG"),
    "end .jpg": lambda: saved(marked(), "JPEG"),
    "\u202egpj.jpg": lambda: saved(marked(), "JPEG"),
    "e\u0301.jpg": lambda: saved(marked(), "JPEG"),
    "\xe9.jpg": lambda: saved(marked(), "JPEG"),
    "a.jpg.jpg": lambda: saved(marked(), "JPEG"),
    "both.JPEG": lambda: saved(marked(), "JPEG"),
    "both.jpeg": lambda: saved(marked(), "JPEG"),
}
"""What looks like `marked`, and has to look so afterwards."""

READ: Mapping[str, Callable[[], bytes]] = {
    **LIKE_MARKED,
    "tall.jpg": lambda: saved(Image.new("L", (1, 65_500), 90), "JPEG"),
    "flat.jpg": lambda: saved(Image.new("L", (65_500, 1), 90), "JPEG"),
    "tall.webp": lambda: saved(Image.new("L", (1, 16_383), 90), "WEBP"),
    "one-pixel.jpg": lambda: saved(Image.new("RGB", (1, 1)), "JPEG"),
    "one-pixel.webp": lambda: saved(Image.new("RGBA", (1, 1)), "WEBP"),
    "one-pixel.tif": lambda: saved(Image.new("1", (1, 1)), "TIFF"),
    "adobe-inverted.jpg": lambda: saved(marked(mode="CMYK"), "JPEG", quality=95),
    "grey-turned.jpg": lambda: with_exif(_little_endian(3, 3), saved(marked(mode="L"), "JPEG")),
    "profile-less-one.jpg": lambda: _profile_in_parts(without=2),
    "turned-6.late.png": _late_orientation,
    "interlaced.png": lambda: patched_checksum(png(1, 1, 8, 0, b"\x50"), 28, b"\x01"),
    "one-colour.png": lambda: png(4, 1, 1, 3, b"\0", (b"PLTE", b"abc")),
    "palette-of-true.png": lambda: png(1, 1, 8, 2, b"abc", (b"PLTE", bytes(768))),
    "all-sorts.png": lambda: png(
        4,
        1,
        8,
        0,
        bytes(4),
        (b"sBIT", b"\x05"),
        (b"bKGD", b"\0\1"),
        (b"hIST", bytes(8)),
        (b"sRGB", b"\0"),
        (b"iTXt", b""),
    ),
    "inverted.tif": lambda: saved(marked(mode="L"), "TIFF", tiffinfo={262: 0}),
    "turned-8.early.tif": lambda: saved(marked(), "TIFF", tiffinfo={274: 8}),
    "described.gif": lambda: _gif(comment=noise(60_000)),
    "many-pages.tif": lambda: saved(marked(), "TIFF", save_all=True, append_images=[marked()] * 200),
    "many-frames.gif": lambda: _gif(frames=500),
    "hasty.gif": lambda: _gif(frames=3, delay=0, disposal=3),
    "slow.gif": lambda: _gif(frames=2, delay=600_000),
    "moving-lossy.webp": lambda: saved(
        marked(mode="RGBA"), "WEBP", save_all=True, append_images=[marked(mode="RGBA")] * 5, minimize_size=True
    ),
}
"""What can be read, and has to be."""


def patched_checksum(data: bytes, at: int, instead: bytes) -> bytes:
    """A PNG with another byte in its header, and a checksum that is right."""
    import zlib

    data = patched(data, at, instead)
    return patched(data, 29, struct.pack(">I", zlib.crc32(data[12:29])))


BROKEN: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "really-jp2.jpg": (lambda: saved(marked(), "JPEG2000"), "no image"),
    "really-icns.png": (lambda: saved(Image.new("RGBA", (64, 64)), "ICNS"), "no image"),
    "really-many-icons.png": (
        lambda: saved(Image.new("RGBA", (64, 64)), "ICO", sizes=[(16, 16), (32, 32)]),
        "no image",
    ),
    "really-ppm.png": (lambda: saved(marked(), "PPM"), "no image"),
    "really-pcx.bmp": (lambda: saved(marked(), "PCX"), "no image"),
    "really-sgi.tif": (lambda: saved(marked(), "SGI"), "no image"),
    "really-dds.png": (lambda: saved(marked(), "DDS"), "no image"),
    "really-xbm.gif": (lambda: saved(marked(mode="1"), "XBM"), "no image"),
    "really-mp4.jpg": (lambda: b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + noise(500), "no image"),
    "really-jxl.jpg": (lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + noise(500), "no image"),
    "really-gzip.png": (lambda: b"\x1f\x8b\x08\0" + noise(500), "no image"),
    "stepwise-cut.jpg": (lambda: saved(marked(400, 200), "JPEG", progressive=True)[:700], "truncated"),
    "differential.jpg": (lambda: patched_frame(0xC5), "."),
    "apple.png": (lambda: saved(marked(), "PNG").replace(b"IHDR", b"CgBI", 1), "."),
    "no-pixels.png": (lambda: saved(marked(), "PNG").split(b"IDAT")[0][:-4] + saved(marked(), "PNG")[-12:], "."),
    "not-compressed.png": (lambda: patched(saved(marked(), "PNG"), 45, noise(20)), "."),
    "more-alphas.png": (lambda: png(4, 1, 8, 3, bytes(4), (b"PLTE", b"abc"), (b"tRNS", bytes(300))), "palette index"),
    "still.webp": (lambda: _riff(flags=0x02), "."),
    "depth.png": (lambda: patched_checksum(png(1, 1, 8, 0, b"\0"), 24, b"\x05"), "."),
    "compression.tif": (lambda: saved(marked(), "TIFF", tiffinfo={}).replace(_tag(259, 1), _tag(259, 999)), "."),
    "compression.bmp": (lambda: _bmp(_info(1, 1, 8, 77, 4, 2), bytes(4), _TWO), "."),
    "no-size.bmp": (lambda: _bmp(_info(0, 0, 24, 0, 0), b""), "."),
    "large-size.bmp": (lambda: _bmp(_info(1 << 28, 1 << 28, 24, 0, 0), b""), "bomb|too large"),
    "no-height.gif": (lambda: b"GIF89a\x01\0\0\0\0\0\0,\0\0\0\0\x01\0\0\0\0\x02\0;", "."),
    "no-size.webp": (lambda: b"RIFF\x04\0\0\0WEBP", "."),
    "size.webp": (lambda: patched(saved(marked(), "WEBP"), 4, b"\xff\xff\xff\x7f")[:100], "."),
    "zeros.jpg": (lambda: bytes(5000), "no image"),
    "spaces.gif": (lambda: b" " * 5000, "no image"),
}
"""What can't, and what the reason looks like."""


def _tag(tag: int, value: int) -> bytes:
    return struct.pack("<HHIHH", tag, 3, 1, value, 0)


def patched_frame(kind: int) -> bytes:
    """A JPEG whose frame is said to be of another kind."""
    data = saved(marked(), "JPEG")
    return patched(data, data.index(b"\xff\xc0") + 1, bytes([kind]))
