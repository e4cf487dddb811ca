"""Videos as people really have them. Made anew by each test run, none is committed.

The grey of each frame says its number, and a light corner shows which way is up.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

__all__ = ["REFUSED", "WHOLE", "record", "with_matrix"]

WIDTH, HEIGHT, RATE = 160, 90, 25


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> Any:
    """A frame's pixels: grey that says its number, and a light corner at the top left."""
    pixels = np.full((height, width, 3), 40 + number % 150, dtype=np.uint8)
    pixels[: height // 4, : width // 4] = 250
    return pixels


def record(
    path: Path,
    *,
    kind: str | None = None,
    frames: int = 50,
    times: Sequence[int] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    sound: str | None = "aac",
    layouts: Sequence[str] = ("stereo",),
    later_ms: int = 0,
    tracks: int = 1,
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
) -> None:
    """Write a video; ``times`` in milliseconds when they aren't even."""
    times = times if times is not None else [number * 1000 // RATE for number in range(frames)]
    with av.open(str(path), "w", format=kind) as container:
        videos = []
        for _ in range(tracks):
            video: Any = container.add_stream(codec, rate=RATE, options=options or {})
            video.width, video.height, video.pix_fmt = *size, pixels
            video.codec_context.time_base = Fraction(1, 1000) if codec == "libx264" else Fraction(1, RATE)
            video.codec_context.gop_size = 10
            if aspect is not None:
                video.codec_context.sample_aspect_ratio = aspect
            videos.append(video)
        sounds: list[Any] = []
        if sound is not None:
            sounds = [container.add_stream(sound, rate=48_000, layout=layouts[0]) for _ in range(tracks)]
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), "rgb24")
            frame.pts, frame.time_base = time + later_ms, Fraction(1, 1000)
            for video in videos:
                container.mux(video.encode(frame))
        seconds = (max(times) - min(times)) / 1000 + 1 / RATE
        for number in range(int(seconds * 48_000) // 1024):
            at = number * 1024 + later_ms * 48
            for stream in sounds:
                container.mux(stream.encode(_tone(at)))
        for stream in [*videos, *sounds]:
            container.mux(stream.encode(None))


def _tone(at: int) -> av.AudioFrame:
    samples = 0.3 * np.sin(2 * np.pi * 440 * (at + np.arange(1024)) / 48_000)
    frame = av.AudioFrame.from_ndarray(np.stack([samples, samples]).astype(np.float32), "fltp", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, at, Fraction(1, 48_000)
    return frame


def with_matrix(path: Path, a: float, b: float, c: float, d: float, **options: Any) -> None:
    """An MP4 whose header says how the camera was held."""
    record(path, kind="mp4", frames=5, sound=None, **options)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (round(number * (1 << 16)) for number in (a, b, c, d))
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def _repeated(path: Path, count: int, **options: Any) -> None:
    """Recordings in one file, one after another; the times of each count from the start again."""
    record(path, frames=50, **options)
    path.write_bytes(path.read_bytes() * count)


def _twice(path: Path, **options: Any) -> None:
    _repeated(path, 2, kind="mpegts", **options)


def _earlier(path: Path) -> None:
    """The second recording's times are before those of the first, and not from zero."""
    second = path.with_suffix(".2")
    record(path, kind="mpegts", frames=50, later_ms=90_000)
    record(second, kind="mpegts", frames=50, later_ms=30_000)
    path.write_bytes(path.read_bytes() + second.read_bytes())
    second.unlink()


def _cut(path: Path, kind: str, keep: float, **options: Any) -> None:
    record(path, kind=kind, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def _stereo_then_mono(path: Path) -> None:
    """A broadcast that changes its sound: the packets of two recordings, the times going on."""
    first, second = path.with_suffix(".1"), path.with_suffix(".2")
    record(first, kind="mpegts", layouts=("stereo",), frames=50)
    record(second, kind="mpegts", layouts=("mono",), frames=50, later_ms=2080)
    path.write_bytes(first.read_bytes() + second.read_bytes())
    first.unlink()
    second.unlink()


def _negative(path: Path) -> None:
    record(path, kind="nut", times=[number * 40 - 1000 for number in range(50)], sound=None)


def _with_cover(path: Path) -> None:
    record(path, kind="matroska")
    cover = path.with_suffix(".jpg")
    Image.new("RGB", (64, 64)).save(cover)
    with av.open(str(path)) as given, av.open(str(path.with_suffix(".new")), "w", format="matroska") as written:
        streams = {s.index: written.add_stream_from_template(s, opaque=True) for s in given.streams}
        written.add_attachment("cover.jpg", "image/jpeg", cover.read_bytes())
        for packet in given.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                written.mux(packet)
    cover.unlink()
    path.with_suffix(".new").replace(path)


def _damaged(path: Path, kind: str) -> None:
    record(path, kind=kind, frames=100)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)


def _leapt(
    path: Path, stream: int, which: int, bit: int, *, decoding: bool = False, later_ms: int = 0, **options: Any
) -> None:
    """A broadcast in which one bit of one time came out wrong: 29 is an hour and a half, 18 three seconds."""
    record(path, kind="mpegts", frames=100, later_ms=later_ms, **options)
    data = bytearray(path.read_bytes())
    at = _times_of(data, stream)[which] + (5 if decoding else 0)
    byte, value = {32: (0, 8), 29: (1, 128), 22: (1, 1), 18: (2, 16)}[bit]
    data[at + byte] ^= value
    path.write_bytes(bytes(data))


_PICTURE, _SOUND = 0xE0, 0xC0
_SET_MS = {bit: (1 << bit) // 90 + 500 for bit in (32, 29, 18)}
"""From when on a recording's times have a bit set, which is then taken from one."""


def _times_of(data: bytes | bytearray, stream: int) -> list[int]:
    """Where the times of a stream's packets stand in a broadcast."""
    found = []
    for at in range(0, len(data), 188):
        begin = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        if data[at + 1] & 0x40 and data[begin : begin + 4] == bytes([0, 0, 1, stream]) and data[begin + 7] & 0x80:
            found.append(begin + 9)
    return found


def _apart(path: Path, *, picture_ms: int = 0, sound_ms: int = 0, sounds: int = 90) -> None:
    """Picture and sound that begin and end at different moments."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        sound: Any = container.add_stream("aac", rate=48_000, layout="stereo")
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(picture(number), "rgb24")
            frame.pts, frame.time_base = number * 40 + picture_ms, Fraction(1, 1000)
            container.mux(video.encode(frame))
        for number in range(sounds):
            container.mux(sound.encode(_tone(number * 1024 + sound_ms * 48)))
        container.mux(video.encode(None) + sound.encode(None))


def _in_fragments(path: Path, less: int = 0) -> None:
    """As phones and players record, so that a fall loses the last piece only; this many bytes are missing."""
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}) as container:
        video: Any = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.gop_size = 10
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(picture(number), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - less])


def _without_front(path: Path) -> None:
    """A broadcast that one has tuned into."""
    record(path, kind="mpegts", frames=100)
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 3 + 17 :])


def _moving_picture(path: Path) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("black", "red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)


_ALL_100 = {"frames": 100, "duration_seconds": 4.0, "dropped_frames": 0, "restarts": 0}

WHOLE: Mapping[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "plain.mp4": (lambda path: record(path), {"frames": 50}),
    "plain.mov": (lambda path: record(path), {"frames": 50}),
    "plain.mkv": (lambda path: record(path), {"frames": 50}),
    "reordered.avi": (lambda path: record(path, kind="avi"), {"frames": 50, "duration_seconds": 2.0}),
    "reordered-silent.avi": (lambda path: record(path, kind="avi", frames=80, sound=None), {"frames": 80}),
    "plain.avi": (lambda path: record(path, codec="mpeg4", sound="mp2"), {"frames": 50}),
    "plain.ts": (lambda path: record(path, kind="mpegts"), {"frames": 50}),
    "plain.flv": (lambda path: record(path), {"frames": 50}),
    "plain.webm": (lambda path: record(path, codec="libvpx", sound="libopus"), {"frames": 50}),
    "old.mpg": (lambda path: record(path, kind="mpeg", codec="mpeg2video", sound="mp2"), {"frames": 50}),
    "really-mkv.mp4": (lambda path: record(path, kind="matroska"), {"frames": 50}),
    "really-mp4.txt": (lambda path: record(path, kind="mp4"), {"frames": 50}),
    "moving.gif": (lambda path: record(path, codec="gif", pixels="rgb8", sound=None), {"frames": 50}),
    "raw.h264": (lambda path: record(path, kind="h264", sound=None), {"frames": 50}),
    "silent.mp4": (lambda path: record(path, sound=None), {"frames": 50, "sound": "none"}),
    "one-frame.mp4": (lambda path: record(path, frames=1, sound=None), {"frames": 1}),
    "odd.mkv": (lambda path: record(path, size=(161, 91), pixels="yuv444p"), {"width": 160, "height": 92}),
    "tiny.mkv": (
        lambda path: record(path, size=(16, 16), codec="ffv1", pixels="yuv444p"),
        {"width": 16, "height": 16},
    ),
    "anamorphic.mkv": (lambda path: record(path, aspect=Fraction(2)), {"width": 320, "height": 90}),
    "ten-bit.mkv": (lambda path: record(path, codec="ffv1", pixels="yuv420p10le"), {"frames": 50}),
    "alpha.mov": (lambda path: record(path, codec="qtrle", pixels="argb"), {"frames": 50}),
    "grey.mkv": (lambda path: record(path, codec="ffv1", pixels="gray"), {"frames": 50}),
    "uneven.mkv": (
        lambda path: record(path, times=[0, 40, 500, 520, 1700, 1701, 1702, 3000, 3333]),
        {"frames": 9, "duration_seconds": 3.37},
    ),
    "late.ts": (lambda path: record(path, kind="mpegts", later_ms=80_000), {"frames": 50, "duration_seconds": 2.0}),
    "negative.nut": (_negative, {"frames": 50, "duration_seconds": 2.0}),
    "negative.mkv": (
        lambda path: record(path, times=[number * 40 - 1000 for number in range(50)], sound=None),
        {"frames": 50, "duration_seconds": 2.0},
    ),
    "twice.ts": (_twice, {"frames": 100, "restarts": 1, "duration_seconds": 4.0}),
    "twice-silent.ts": (lambda path: _twice(path, sound=None), {"frames": 100, "restarts": 1}),
    "twice-copied.ts": (lambda path: _twice(path, sound="mp2"), {"frames": 100, "restarts": 1}),
    "twice.mpg": (
        lambda path: _repeated(path, 2, kind="mpeg", codec="mpeg2video", sound="mp2"),
        {"frames": 100, "restarts": 1, "duration_seconds": 4.0},
    ),
    "thrice.ts": (lambda path: _repeated(path, 3, kind="mpegts"), {"frames": 150, "restarts": 2}),
    "earlier.ts": (_earlier, {"frames": 100, "restarts": 1, "duration_seconds": 4.0}),
    "stereo-then-mono.ts": (_stereo_then_mono, {"frames": 100, "duration_seconds": 4.0}),
    "several.mkv": (
        lambda path: record(path, tracks=3),
        {"frames": 50, "left_out": {"video": 2, "audio": 2}},
    ),
    "cover.mkv": (_with_cover, {"frames": 50}),
    "no-end.ts": (lambda path: _cut(path, "mpegts", 0.97), {"missing_seconds": 0.0}),
    "half.mkv": (lambda path: _cut(path, "matroska", 0.5, frames=150), {}),
    "damaged.ts": (lambda path: _damaged(path, "mpegts"), {}),
    "damaged.mkv": (lambda path: _damaged(path, "matroska"), {}),
    "leapt-32.ts": (lambda path: _leapt(path, _PICTURE, 12, 32), _ALL_100),
    "leapt-29.ts": (lambda path: _leapt(path, _PICTURE, 12, 29), _ALL_100),
    "leapt-29-later.ts": (lambda path: _leapt(path, _PICTURE, 57, 29), _ALL_100),
    "leapt-18.ts": (lambda path: _leapt(path, _PICTURE, 13, 18), _ALL_100),
    "leapt-decoding.ts": (lambda path: _leapt(path, _PICTURE, 12, 29, decoding=True), _ALL_100),
    **{
        f"leapt-{what}{end}-{bit}{back}.ts": (
            functools.partial(_leapt, stream=stream, which=which, bit=bit, later_ms=later_ms),
            _ALL_100,
        )
        for what, stream in (("", _PICTURE), ("sound-", _SOUND))
        for end, which in (("first", 0), ("last", -1))
        for bit in (32, 29, 18)
        for back, later_ms in (("", 0), ("-back", _SET_MS[bit]))
    },
    "leapt-first-decoding.ts": (lambda path: _leapt(path, _PICTURE, 0, 29, decoding=True), _ALL_100),
    "leapt-first-plain.ts": (lambda path: _leapt(path, _PICTURE, 0, 29, options={"bf": "0"}), _ALL_100),
    "leapt-last-plain.ts": (lambda path: _leapt(path, _PICTURE, -1, 29, options={"bf": "0"}), _ALL_100),
    "leapt-sound-29.ts": (lambda path: _leapt(path, _SOUND, 3, 29), _ALL_100),
    "leapt-sound-22.ts": (lambda path: _leapt(path, _SOUND, 3, 22), _ALL_100),
    "sound-later.mkv": (lambda path: _apart(path, sound_ms=1000), {"frames": 50, "duration_seconds": 2.92}),
    "picture-later.mkv": (lambda path: _apart(path, picture_ms=1000), {"frames": 50, "duration_seconds": 3.0}),
    "sound-longer.mp4": (lambda path: _apart(path, sounds=480), {"frames": 50, "duration_seconds": 10.24}),
    "sound-shorter.mp4": (lambda path: _apart(path, sounds=10), {"frames": 50, "duration_seconds": 2.0}),
    "motion-jpeg.avi": (
        lambda path: record(path, codec="mjpeg", pixels="yuvj420p", sound="pcm_s16le"),
        {"frames": 50, "duration_seconds": 2.0},
    ),
    "prores.mov": (lambda path: record(path, codec="prores_ks", pixels="yuv422p10le"), {"frames": 50}),
    "camcorder.avi": (
        lambda path: record(path, codec="dvvideo", size=(720, 576), sound="pcm_s16le"),
        {"frames": 50, "width": 768, "height": 576},
    ),
    "phone.3gp": (
        lambda path: record(path, kind="3gp", codec="h263", size=(176, 144)),
        {"frames": 50, "width": 192, "height": 144},
    ),
    "fragments.mp4": (_in_fragments, {"frames": 50, "duration_seconds": 2.0}),
    "fragments-less.mp4": (lambda path: _in_fragments(path, 2000), {"frames": 6, "damaged_packets": 1}),
    "slow.mkv": (lambda path: record(path, times=[n * 1000 for n in range(8)], sound=None), {"frames": 8}),
    "fast.mkv": (lambda path: record(path, times=list(range(100)), sound=None), {"frames": 100}),
    "same-times.nut": (
        lambda path: record(path, times=[0] * 5 + [n * 40 for n in range(1, 20)], sound=None),
        {"frames": 20, "dropped_frames": 4},
    ),
    "wide.mkv": (lambda path: record(path, size=(2000, 20), frames=5), {"width": 2000, "height": 20}),
    "tall.mkv": (lambda path: record(path, size=(18, 1600), frames=5), {"width": 18, "height": 1600}),
    "one-pixel.mkv": (
        lambda path: record(path, size=(1, 1), frames=5, codec="ffv1", pixels="bgr0"),
        {"frames": 5, "width": 16, "height": 16},
    ),
    "moving.apng": (_moving_picture, {"frames": 3}),
    "without-front.ts": (_without_front, {"frames": 60}),
}
"""What a video can be made of, and what its result says."""


def _sound_only(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = container.add_stream("aac", rate=48_000, layout="stereo")
        container.mux([packet for number in range(20) for packet in stream.encode(_tone(number * 1024))])
        container.mux(stream.encode(None))


REFUSED: Mapping[str, tuple[Callable[[Path], Any], str]] = {
    "zero.mp4": (lambda path: path.write_bytes(b""), "is empty"),
    "one-byte.mp4": (lambda path: path.write_bytes(b"x"), "no video"),
    "zeros.mp4": (lambda path: path.write_bytes(bytes(100_000)), "no video"),
    "text.mp4": (lambda path: path.write_text("no video\n" * 1000), "no video"),
    "text.txt": (lambda path: path.write_text("no video\n" * 1000), "no video"),
    "subtitles.srt": (lambda path: path.write_text("1\n00:00:01,000 --> 00:00:02,000\nhi\n\n"), "no video"),
    "html.mp4": (lambda path: path.write_text("<!doctype html><title>404</title>"), "no video"),
    "list.m3u8": (lambda path: path.write_text("#EXTM3U\n#EXTINF:6,\n/etc/passwd\n#EXT-X-ENDLIST\n"), "no video"),
    "list.ffconcat": (lambda path: path.write_text("ffconcat version 1.0\nfile /etc/passwd\n"), "no video"),
    "picture.mp4": (lambda path: Image.new("RGB", (64, 64)).save(path, "JPEG"), "picture or text, no video"),
    "picture.png": (lambda path: Image.new("RGB", (64, 64)).save(path, "PNG"), "picture or text, no video"),
    "sound.mp4": (_sound_only, "no video stream"),
    "header.mp4": (lambda path: _cut(path, "mp4", 0.02), "no video|no frame"),
    "header.mkv": (lambda path: _cut(path, "matroska", 0.01), "no video|no frame"),
    "moving.webp": (_moving_picture, "picture or text, no video"),
    "fragments-few.mp4": (lambda path: _in_fragments(path, 3000), "no frame"),
    "no-index.mp4": (lambda path: _cut(path, "mp4", 0.9), "no video"),
}
"""What can't, and what the reason looks like."""
