"""Reading a video: which streams, from which moment, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import EOFError as EndOfFile
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from niyanta.errors import PermanentError
from niyanta.examples.storage import Place

__all__ = ["Source"]

_READ_BYTES = 1 << 20
# How far before the wanted moment to look for a frame to start decoding from; the last resort is the beginning.
_MARGINS_SECONDS = (0, 5, 60)


class Source:
    """An open video. Times count from the first moment of picture or sound.

    The demuxer gets an open file and no protocol, so that a playlist can't make the worker open other addresses.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.damaged_packets = 0
        self._open()
        picture = self.video.codec_context
        if not picture.width or not picture.height:
            raise PermanentError(f"{place.field}: {place.url} has a video stream that can't be decoded")
        self.origin = self._first_moment()
        self.time_base: Fraction = self.video.time_base or Fraction(1, 1000)
        self.rate: Fraction = self.video.average_rate or self.video.guessed_rate or Fraction(25)
        self._shift = round(self.origin / self.time_base)

    def _open(self) -> None:
        self._file: BinaryIO = self._place.open()
        try:
            container = av.open(
                self._file,
                "r",
                buffer_size=_READ_BYTES,
                container_options={"protocol_whitelist": "none", "format_blacklist": "hls,dash,concat"},
                metadata_errors="replace",
            )
        except (InvalidDataError, ValueError, EndOfFile) as exc:
            self._file.close()
            raise PermanentError(f"{self._place.field}: {self._place.url} is no video that can be read") from exc
        assert isinstance(container, InputContainer)  # noqa: S101 -- mode "r"
        self.container = container
        video = next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)
        if video is None:
            self.close()
            raise PermanentError(f"{self._place.field}: {self._place.url} has no video stream")
        self.video: VideoStream = video
        self.audio: AudioStream | None = next(iter(container.streams.audio), None)
        video.thread_type = "AUTO"

    def close(self) -> None:
        self.container.close()
        self._file.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _first_moment(self) -> Fraction:
        starts = [
            stream.start_time * stream.time_base
            for stream in (self.video, self.audio)
            if stream is not None and stream.start_time is not None and stream.time_base
        ]
        return min(starts, default=Fraction(0))

    @property
    def duration_seconds(self) -> float:
        """What the file says of itself; 0 when it says nothing."""
        if self.video.duration and self.video.time_base:
            return float(self.video.duration * self.video.time_base)
        return (self.container.duration or 0) / 1_000_000

    @property
    def frames_expected(self) -> int:
        """How many frames there are, about; 0 when unknown."""
        return self.video.frames or round(self.duration_seconds * float(self.rate))

    def packets(self, stream: VideoStream | AudioStream) -> Iterator[Packet[Any]]:
        """The stream's packets from here on; the last one is empty and flushes the decoder."""
        packets = self.container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except InvalidDataError:  # what comes after can't be found any more
                self.damaged_packets += 1
                return
            if packet is None:
                return
            yield packet

    def frames(self, start: int) -> Iterator[tuple[int, VideoFrame]]:
        """All frames whose time is at or after ``start``, with their times in `time_base`, strictly growing."""
        last = start - 1
        for pts, frame in self._from_before(start):
            if pts > last:
                last = pts
                yield pts, frame

    def _from_before(self, start: int) -> Iterator[tuple[int, VideoFrame]]:
        """Frames that begin at or before ``start``, if there are any."""
        if start > 0:
            for margin in _MARGINS_SECONDS:
                wanted = start + self._shift - round(margin / self.time_base)
                try:
                    self.container.seek(wanted, stream=self.video)
                except FFmpegError:
                    break
                frames = self._decoded()
                first = next(frames, None)
                if first is not None and first[0] <= start:
                    yield first
                    yield from frames
                    return
        self.close()
        self._open()
        yield from self._decoded()

    def _decoded(self) -> Iterator[tuple[int, VideoFrame]]:
        step = max(1, round(1 / (self.rate * self.time_base)))
        pts = -step
        for packet in self.packets(self.video):
            try:
                frames = packet.decode()
            except InvalidDataError:
                self.damaged_packets += 1
                continue
            for frame in frames:
                assert isinstance(frame, VideoFrame)  # noqa: S101 -- the packet is of the video stream
                given = frame.pts if frame.pts is not None else frame.dts
                pts = given - self._shift if given is not None else pts + step
                yield pts, frame
