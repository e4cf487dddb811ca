"""What can come out: containers, codecs, and how large the picture gets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from niyanta.errors import PermanentError
from niyanta.examples.video.parameters import TranscodeParams

__all__ = ["CODECS", "CONTAINERS", "Container", "Picture", "Target", "picture_size", "target_of"]

_MOST_PIXELS_ACROSS = 8192


@dataclass(frozen=True)
class Container:
    """A file format. ``kept_sound``: sound codecs that go into it as they are, without a loss."""

    muxer: str
    codecs: tuple[str, ...]
    sound_encoder: str
    kept_sound: frozenset[str]
    options: Mapping[str, str]


@dataclass(frozen=True)
class Codec:
    encoder: str
    quality: int
    """Constant rate factor when none is asked for."""
    best_quality_is: int
    """The largest number that the encoder takes (the worst picture)."""
    speeds: Mapping[str, Mapping[str, str]]
    options: Mapping[str, str]


# Parameter sets stand in front of every key frame, so that segments of two releases of an encoder join as well.
CODECS = {
    "h264": Codec(
        "libx264",
        23,
        51,
        {
            "fast": {"preset": "veryfast"},
            # Half of the usual look ahead: 1080p then fits into the default memory limit.
            "medium": {"preset": "medium", "rc-lookahead": "20"},
            "slow": {"preset": "slow"},
        },
        {"x264-params": "repeat-headers=1"},
    ),
    "hevc": Codec(
        "libx265",
        28,
        51,
        {"fast": {"preset": "ultrafast"}, "medium": {"preset": "fast"}, "slow": {"preset": "medium"}},
        {"x265-params": "repeat-headers=1:log-level=error"},
    ),
    "vp9": Codec(
        "libvpx-vp9",
        33,
        63,
        {"fast": {"cpu-used": "8"}, "medium": {"cpu-used": "5"}, "slow": {"cpu-used": "2"}},
        {"deadline": "good", "row-mt": "1", "b": "0"},
    ),
    "av1": Codec(
        "libsvtav1",
        35,
        63,
        {"fast": {"preset": "11"}, "medium": {"preset": "8"}, "slow": {"preset": "5"}},
        {},
    ),
}

_SOUND_OF_MP4 = frozenset({"aac", "mp3"})
CONTAINERS = {
    "mp4": Container("mp4", ("h264", "hevc", "av1", "vp9"), "aac", _SOUND_OF_MP4, {"movflags": "+faststart"}),
    "mov": Container("mov", ("h264", "hevc"), "aac", _SOUND_OF_MP4, {"movflags": "+faststart"}),
    "mkv": Container(
        "matroska", ("h264", "hevc", "av1", "vp9"), "aac", frozenset({"aac", "mp3", "opus", "flac", "ac3"}), {}
    ),
    "webm": Container("webm", ("vp9", "av1"), "libopus", frozenset({"opus", "vorbis"}), {}),
}


@dataclass(frozen=True)
class Picture:
    """Size in square pixels; both even, as the pixel format wants it."""

    width: int
    height: int


@dataclass(frozen=True)
class Target:
    """What an encoder is told, all parameters and configuration taken together."""

    container: Container
    codec_name: str
    encoder: str
    options: Mapping[str, str]
    resolution: str | None
    threads: int


def target_of(params: TranscodeParams, config: Mapping[str, Any]) -> Target:
    """Take the parameters, then the type's configuration, then the defaults.

    Raises:
        PermanentError: They don't go together; names the field and what is allowed.
    """
    container = CONTAINERS[params.output_format]
    if params.codec is not None:
        field, name = "codec", str(params.codec)
    else:
        field, name = "default_codec (in config_json)", config.get("default_codec", container.codecs[0])
        if name in CODECS and name not in container.codecs:  # a default for mp4 needn't suit webm
            name = container.codecs[0]
    if name not in container.codecs:
        allowed = ", ".join(container.codecs)
        raise PermanentError(f"{field}: '{name}' can't go into {params.output_format}; allowed: {allowed}")
    codec = CODECS[name]
    quality = params.quality if params.quality is not None else codec.quality
    if quality > codec.best_quality_is:
        raise PermanentError(f"quality: {quality} is too much for {name}; allowed: 0 to {codec.best_quality_is}")
    options = {"crf": str(quality), **codec.speeds[params.speed], **codec.options}
    resolution = params.resolution or config.get("default_resolution")
    return Target(container, name, codec.encoder, options, resolution, _threads(config))


def _threads(config: Mapping[str, Any]) -> int:
    """As many as there are cores, but not more than four: each costs memory for the frames that it holds."""
    asked = config.get("threads")
    if asked is None:
        return min(4, len(os.sched_getaffinity(0)))
    if not isinstance(asked, int) or isinstance(asked, bool) or not 1 <= asked <= 64:
        raise PermanentError(f"threads (in config_json): {asked!r} must be a whole number from 1 to 64")
    return asked


def picture_size(resolution: str | None, width: int, height: int, pixel_aspect: Fraction) -> Picture:
    """The size of the output for a source of this size.

    ``720p`` is the length of the shorter side; the other follows from the shape of the picture. ``1280x720`` is
    taken as it is. None keeps the source's size. Pixels come out square, and sizes even.

    Raises:
        PermanentError: The resolution is none, or too large.
    """
    shown = width * pixel_aspect
    if resolution is None:
        size = Picture(_even(shown), _even(height))
    elif match := re.fullmatch(r"([0-9]{3,4})p", resolution):
        short = int(match[1])
        scale = Fraction(short) / min(shown, Fraction(height))
        size = Picture(_even(shown * scale), _even(height * scale))
    elif match := re.fullmatch(r"([0-9]{2,4})x([0-9]{2,4})", resolution):
        size = Picture(_even(int(match[1])), _even(int(match[2])))
    else:
        raise PermanentError(f"resolution: '{resolution}' must look like 720p or 1280x720")
    if max(size.width, size.height) > _MOST_PIXELS_ACROSS:
        raise PermanentError(
            f"resolution: {size.width}x{size.height} is too large, the limit is {_MOST_PIXELS_ACROSS} on a side"
        )
    return size


def _even(length: Fraction | int) -> int:
    return max(16, round(Fraction(length) / 2) * 2)
