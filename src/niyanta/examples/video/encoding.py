"""Writing the picture of one segment."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from niyanta.examples.video.formats import Picture, Target

__all__ = ["SegmentWriter"]

_LIMITED_RANGE = 1  # AVCOL_RANGE_MPEG


class SegmentWriter:
    """Encodes frames into a file of their own, which starts with a key frame and refers to nothing outside of it.

    NUT keeps every frame's time exactly, in the source's own time base.
    """

    def __init__(self, path: Path, target: Target, picture: Picture, rate: Fraction, time_base: Fraction) -> None:
        self.frames = 0
        self._times: list[int] = []
        self._picture = picture
        self._time_base = time_base
        # Times of decoding may lie before zero; they must not shift the times of showing.
        self._container = av.open(str(path), "w", format="nut", container_options={"avoid_negative_ts": "disabled"})
        stream = self._container.add_stream(target.encoder, rate=rate, options=dict(target.options))
        assert isinstance(stream, VideoStream)  # noqa: S101 -- the encoder is one of pictures
        self._stream = stream
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = picture.width, picture.height, "yuv420p"
        context.time_base = self._stream.time_base = time_base
        context.sample_aspect_ratio = Fraction(1)
        context.thread_count = target.threads
        context.gop_size = max(2, min(300, round(rate * 2)))  # a key frame each two seconds lets players seek

    def add(self, pts: int, frame: VideoFrame) -> None:
        """Scale a frame and encode it at a time, in units of the stream."""
        scaled = frame.reformat(
            self._picture.width,
            self._picture.height,
            "yuv420p",
            interpolation="BICUBIC",
            dst_color_range=_LIMITED_RANGE,
        )
        if not self.frames:
            context = self._stream.codec_context
            context.color_range = _LIMITED_RANGE
            context.colorspace = frame.colorspace
            context.color_primaries = frame.color_primaries
            context.color_trc = frame.color_trc
        scaled.pts, scaled.time_base, scaled.pict_type = pts, self._time_base, PictureType.NONE
        self._write(self._stream.encode(scaled))
        self.frames += 1

    def _write(self, packets: list[Packet[VideoStream]]) -> None:
        self._times += [packet.pts or 0 for packet in packets]
        self._container.mux(packets)

    def finish(self) -> int:
        """Write what the encoder still holds; gives by how many places it sent a frame ahead of its turn."""
        self._write(self._stream.encode(None))
        turn = {pts: number for number, pts in enumerate(sorted(self._times))}
        return max(number - turn[pts] for number, pts in enumerate(self._times))

    def close(self) -> None:
        """Idempotent."""
        self._container.close()
