"""Reading a video: which streams, from which moment, frame by frame."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from niyanta.errors import PermanentError
from niyanta.examples.storage import Place
from niyanta.examples.video.parameters import Timeline
from niyanta.examples.video.steady import Steady
from niyanta.examples.video.timeline import ShownOrder, Walk, look_over

__all__ = ["Source", "is_passing"]

_READ_BYTES = 1 << 20
_HIGHEST_RATE = Fraction(240)
"""Frames a second; what files say of themselves can be nonsense that no encoder takes."""
_TRUSTED_SECONDS = Fraction(1, 10)
_WITH_TWO_TIMES = ("mpegts", "mpeg")
"""Kinds of files in which a packet's times of decoding and of showing are written down each by itself."""
_NO_VIDEO = ("image2", "tty")
"""Kinds of files that FFmpeg shows as videos and nobody means as such; and all that end in ``_pipe``."""
_WITH_DURATION = ("mov,", "matroska,", "avi", "asf", "nut")
_PASSING = {errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EINTR}
"""Not EIO: FFmpeg says so of files that end too early. What our own file raises comes through as it is."""
# How far before the wanted moment to look for a frame to start decoding from; the last resort is the beginning.
_MARGINS_SECONDS = (0, 5, 60)


def is_passing(exc: Exception) -> bool:
    """Whether an error comes from the machine's state rather than from the video."""
    return getattr(exc, "errno", None) in _PASSING


def _is_known(stream: VideoStream | AudioStream) -> bool:
    return getattr(stream, "codec_context", None) is not None


_WITHOUT_TIMES_OF_SHOWING = ("avi", "asf")
"""Containers that keep the times of decoding only. What the demuxer makes of them for showing goes up and down."""


class Source:
    """An open video. Times count from the first moment of picture or sound.

    The demuxer gets an open file and no protocol, so that a playlist can't make the worker open other addresses.

    Attributes:
        damaged_packets: What couldn't be decoded, so far.
        dropped_frames: Frames whose time isn't after that of the one before, so far.
        mended_times: Packets whose time had leapt away from those around it, so far.
        left_out: How many streams of each kind aren't used.
    """

    def __init__(self, place: Place, timeline: Timeline | None = None) -> None:
        self._place = place
        self._timeline = timeline or Timeline()
        self.damaged_packets = 0
        self.dropped_frames = 0
        self.mended_times = 0
        self._open()
        picture = self.video.codec_context
        if not picture.width or not picture.height:
            raise PermanentError(f"{place.field}: {place.url} has a video stream that can't be decoded")
        self._origin = self._first_moment()
        self.time_base: Fraction = self.video.time_base or Fraction(1, 1000)
        rate = self.video.average_rate or self.video.guessed_rate or Fraction(25)
        self.rate: Fraction = min(rate, _HIGHEST_RATE)
        self.pixel_aspect: Fraction = self.video.sample_aspect_ratio or picture.sample_aspect_ratio or Fraction(1)

    def _open(self) -> None:
        if not self._place.describe().size_bytes:
            raise PermanentError(f"{self._place.field}: {self._place.url} is empty")
        self._file: BinaryIO = self._place.open()
        try:
            container = av.open(
                self._file,
                "r",
                buffer_size=_READ_BYTES,
                container_options={"protocol_whitelist": "none", "format_blacklist": "hls,dash,concat"},
                metadata_errors="replace",
            )
        except (FFmpegError, ValueError, IndexError) as exc:
            self._file.close()
            if is_passing(exc):
                raise
            raise PermanentError(f"{self._place.field}: {self._place.url} is no video that can be read") from exc
        assert isinstance(container, InputContainer)  # noqa: S101 -- mode "r"
        self.container = container
        if container.format.name in _NO_VIDEO or container.format.name.endswith("_pipe"):
            self.close()
            raise PermanentError(f"{self._place.field}: {self._place.url} is a picture or text, no video")
        covers = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
        # A stream of a codec that isn't known has no context.
        videos = [s for s in container.streams.video if s not in covers and _is_known(s)]
        sounds = [s for s in container.streams.audio if _is_known(s)]
        if not videos:
            self.close()
            unknown = " that can be decoded" if len(container.streams.video) > len(covers) else ""
            raise PermanentError(f"{self._place.field}: {self._place.url} has no video stream{unknown}")
        self.video: VideoStream = videos[0]
        self.audio: AudioStream | None = sounds[0] if sounds else None
        used = {self.video.index, *(s.index for s in covers), *(s.index for s in sounds[:1])}
        self.left_out: dict[str, int] = dict(Counter(s.type for s in container.streams if s.index not in used))
        if covers:
            self.left_out["cover"] = len(covers)
        # Not frame by frame: there, an error takes the frames along that are decoded beside it, and nobody is told.
        self.video.thread_type = "SLICE"

    def close(self) -> None:
        """Close the container and the file."""
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
        first = min(starts, default=Fraction(0))
        if self._timeline.first_us is not None:
            found = Fraction(self._timeline.first_us, 1_000_000)
            wrong = found < first - _TRUSTED_SECONDS or (self._timeline.mended and found > first + _TRUSTED_SECONDS)
            if not starts or wrong:  # the file's own word
                return found
        return first

    def look_over(self) -> Timeline:
        """Find out whether its times begin again. Reads the file through; a second source is needed for more."""
        if self._times_are_sums:
            return Timeline()
        streams = [stream for stream in (self.video, self.audio) if stream is not None]
        timeline = look_over(self._demuxed(*streams))
        timeline.mended = self.mended_times
        return timeline

    @property
    def _times_are_sums(self) -> bool:
        """Whether times are sums of durations, which neither begin again nor leap there and back."""
        return self.container.format.name.startswith("mov,")

    @property
    def _has_two_times(self) -> bool:
        return self.container.format.name in _WITH_TWO_TIMES

    @property
    def duration_seconds(self) -> float:
        """What the file says of itself; 0 when it says nothing."""
        if self._timeline.restarts and self._timeline.first_us is not None:
            return (self._timeline.end_us - self._timeline.first_us) / 1_000_000
        if self.video.duration and self.video.time_base:
            return float(self.video.duration * self.video.time_base)
        return (self.container.duration or 0) / 1_000_000

    @property
    def frames_expected(self) -> int:
        """How many frames there are, about; 0 when unknown."""
        return self.video.frames or round(self.duration_seconds * float(self.rate))

    @property
    def tells_its_duration(self) -> bool:
        """Whether the duration stands in the file; of other kinds it is only estimated."""
        return self.container.format.name.startswith(_WITH_DURATION)

    def packets(self, stream: VideoStream | AudioStream) -> Iterator[Packet[Any]]:
        """The stream's packets from here on, in our times; the last one is empty and flushes the decoder."""
        walk = Walk()
        base = stream.time_base or Fraction(1, 1000)
        timeline = self._timeline
        moves = (timeline.picture_moves_us if stream is self.video else timeline.sound_moves_us) or [0]
        for packet in self._demuxed(stream):
            move = Fraction(moves[min(walk.step(packet), len(moves) - 1)], 1_000_000) - self._origin
            if packet.pts is not None:
                packet.pts += round(move / base)
            if packet.dts is not None:
                packet.dts += round(move / base)
            yield packet

    def _demuxed(self, *streams: VideoStream | AudioStream) -> Iterator[Packet[Any]]:
        steady: dict[int, Steady] = {}
        if not self._times_are_sums:
            steady = {stream.index: Steady(twofold=self._has_two_times) for stream in streams}
        for packet in self._as_they_come(*streams):
            one = steady.get(packet.stream.index)
            if one is None:
                yield packet
                continue
            before = one.mended
            yield from one.feed(packet)
            self.mended_times += one.mended - before

    def _as_they_come(self, *streams: VideoStream | AudioStream) -> Iterator[Packet[Any]]:
        packets = self.container.demux(*streams)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as exc:  # what comes after can't be found any more
                if is_passing(exc):
                    raise
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
            elif last >= start or not start:
                self.dropped_frames += 1

    def _from_before(self, start: int) -> Iterator[tuple[int, VideoFrame]]:
        """Frames that begin at or before ``start``, if there are any."""
        if start > 0 and not self._timeline.restarts:  # times that begin again can't be looked for
            for margin in _MARGINS_SECONDS:
                wanted = start + round((self._origin - margin) / self.time_base)
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
        order = ShownOrder() if self.container.format.name in _WITHOUT_TIMES_OF_SHOWING else None
        for packet in self.packets(self.video):
            if order is not None:
                order.fed(packet.dts)
            try:
                frames = packet.decode()
            except FFmpegError as exc:
                if is_passing(exc):
                    raise
                self.damaged_packets += 1
                continue
            for frame in frames:
                assert isinstance(frame, VideoFrame)  # noqa: S101 -- the packet is of the video stream
                given = frame.pts
                if given is None and not self._has_two_times:  # there, it was mended away
                    given = frame.dts
                if order is not None:
                    given = order.shown(frame.dts)
                pts = given if given is not None else pts + step
                yield pts, frame
