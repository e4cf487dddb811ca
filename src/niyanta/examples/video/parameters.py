"""What ``video_transcoding`` takes, gives and remembers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["Progress", "Segment", "Sound", "Timeline", "TranscodeParams", "TranscodeResult"]


class TranscodeParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Addresses are absolute paths that every worker sees, ``file:///…`` or ``s3://bucket/key``."""

    video_url: Annotated[str, Meta(min_length=1, max_length=2048, description="The video to read.")]
    output_format: Annotated[Literal["mp4", "mkv", "mov", "webm"], Meta(description="Kind of file to write.")] = "mp4"
    resolution: (
        Annotated[
            str,
            Meta(
                pattern="^([1-9][0-9]{2,3}p|[1-9][0-9]{1,3}x[1-9][0-9]{1,3})$",
                description="720p (shorter side) or 1280x720; the configuration's default, else the source's size.",
                examples=["1080p", "720p", "480p", "360p", "1280x720"],
            ),
        ]
        | None
    ) = None
    output_url: (
        Annotated[str, Meta(min_length=1, max_length=2048, description="Where to; beside the video when absent.")]
        | None
    ) = None
    codec: (
        Annotated[
            Literal["h264", "hevc", "vp9", "av1"], Meta(description="The configuration's default, else the format's.")
        ]
        | None
    ) = None
    quality: (
        Annotated[int, Meta(ge=0, le=63, description="Constant rate factor: smaller is better and larger.")] | None
    ) = None
    speed: Annotated[Literal["fast", "medium", "slow"], Meta(description="Slower makes smaller files.")] = "medium"
    segment_seconds: Annotated[
        float, Meta(ge=1, le=600, description="Length of a segment; at most this much is done again after a loss.")
    ] = 10.0


class Segment(msgspec.Struct, array_like=True):
    """A finished piece of the picture: whole on disk, and acknowledged with the checkpoint that lists it."""

    number: int
    attempt: int
    frames: int
    size_bytes: int
    delay: int
    """By how many places the encoder sent a frame ahead of its turn to be shown."""

    @property
    def name(self) -> str:
        """The file that holds it."""
        return f"{self.number:05d}-{self.attempt}.nut"


class Sound(msgspec.Struct, array_like=True):
    """The finished sound track."""

    attempt: int
    size_bytes: int
    lead: str
    """Seconds, as a fraction, by which its times are later in the file than in truth (encoders begin before zero)."""

    @property
    def name(self) -> str:
        """The file that holds it."""
        return f"sound-{self.attempt}.nut"


class Timeline(msgspec.Struct):
    """The pieces of a video whose times begin again.

    Part of the checkpoint, as the next attempt must move them by the same distances. All in microseconds.
    """

    first_us: int | None = None
    """The first moment of picture or sound; None when the video needn't be looked over."""
    end_us: int = 0
    """The last moment after all moves."""
    picture_moves_us: list[int] = []
    """By how much each piece of the picture is moved; the first by nothing."""
    sound_moves_us: list[int] = []
    mended: int = 0
    """Packets whose time had leapt away from those around it, and back."""

    @property
    def restarts(self) -> int:
        """How often the video's times begin again."""
        return max(1, len(self.picture_moves_us), len(self.sound_moves_us)) - 1


class TranscodeResult(msgspec.Struct):
    """The workload's result: where the video lies, and what it took to make it."""

    output_url: str
    duration_seconds: float
    frames: int
    segments: int
    segments_encoded: int
    """Encodings of all attempts that a checkpoint acknowledged. More than ``segments`` would mean work done twice."""
    codec: str
    width: int
    height: int
    size_bytes: int
    sound: Literal["none", "copied", "encoded"]
    damaged_packets: int
    """Left out because they couldn't be decoded."""
    dropped_frames: int
    """Left out because their time wasn't after that of the frame before."""
    restarts: int
    """How often the times began again; what came after was moved to the end of what came before."""
    mended_times: int
    """Packets whose time had leapt away from those around it; they were given one between."""
    missing_seconds: float
    """How much less there was than the file says of itself; from one second on."""
    left_out: dict[str, int]
    """Streams that weren't used, by their kind."""


class Progress(msgspec.Struct):
    """The checkpoint: names and positions, no data."""

    source: str
    """The source's version; a source that changed meanwhile begins anew."""
    sound: Literal["open", "none", "copied", "encoded"] = "open"
    sound_track: Sound | None = None
    segments: list[Segment] = []
    encodings: int = 0
    frames: int = 0
    next_pts: int = 0
    """Where the next segment begins, in the source stream's time base, from the first moment of picture or sound."""
    video_done: bool = False
    damaged_packets: int = 0
    dropped_frames: int = 0
    timeline: Timeline | None = None
    """None until the source was looked over."""
    result: TranscodeResult | None = None
    """Set once the output is in its place; only cleaning up is left then."""
