"""The sound, as one track from beginning to end, so that no join can be heard.

Sound that the output's format takes is copied; anything else is encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet

from niyanta.examples.video.formats import Container
from niyanta.examples.video.source import Source, is_passing

__all__ = ["can_be_copied", "write_sound"]

_RATES = {"aac": (44_100, 48_000, 32_000, 24_000, 22_050, 16_000), "libopus": (48_000,)}
_BITS_PER_SECOND = {1: 96_000, 2: 160_000}


def can_be_copied(stream: AudioStream, container: Container) -> bool:
    """Whether the format takes this sound as it is."""
    context = stream.codec_context
    name = context.codec.canonical_name
    # AAC out of a transport stream has no header of its own, and containers need one.
    return name in container.kept_sound and (name != "aac" or bool(context.extradata))


def write_sound(source: Source, container: Container, path: Path, step: Callable[[float], None]) -> Fraction:
    """Write the whole track.

    Args:
        source: A freshly opened source with sound.
        container: What the output will be.
        path: File to write.
        step: Called now and then with the seconds done.

    Returns:
        The track's lead: how many seconds later times are in the file than in truth.
    """
    stream = source.audio
    assert stream is not None  # noqa: S101 -- the caller looked
    with av.open(str(path), "w", format="nut") as output:
        if can_be_copied(stream, container):
            written = output.add_stream_from_template(stream, opaque=True)
            packets = _copied(source, stream)
        else:
            written = _added(output, container.sound_encoder, stream)
            packets = _encoded(source, stream, written)
        lead: int | None = None
        base = Fraction(1)
        last = -1
        for packet in packets:
            pts, base = packet.pts or 0, packet.time_base or Fraction(1, 1000)
            if lead is None:
                lead = max(0, -pts)
            last = max(last + 1, pts + lead)
            packet.pts = packet.dts = last
            packet.stream = written
            output.mux(packet)
            step(float(last * base))
    return (lead or 0) * base


def _added(output: OutputContainer, encoder: str, stream: AudioStream) -> AudioStream:
    """A stream for the encoder, as much like the source's as it can be."""
    rate = stream.rate if stream.rate in _RATES[encoder] else 48_000
    added = output.add_stream(encoder, rate=rate)
    assert isinstance(added, AudioStream)  # noqa: S101 -- the encoder is one of sound
    added.codec_context.layout = "mono" if stream.channels == 1 else "stereo"
    added.codec_context.bit_rate = _BITS_PER_SECOND[min(2, stream.channels)]
    return added


def _copied(source: Source, stream: AudioStream) -> Iterator[Packet[Any]]:
    for packet in source.packets(stream):
        if packet.pts is not None and packet.size:
            yield packet


def _encoded(source: Source, stream: AudioStream, written: AudioStream) -> Iterator[Packet[Any]]:
    """Decoded, brought into one form, holes filled with silence, encoded."""
    context = written.codec_context
    context.open()
    resampler = AudioResampler(
        context.format, context.layout, context.sample_rate, context.frame_size, {"async": "1000", "first_pts": "0"}
    )
    as_first = _AsFirst()
    for packet in source.packets(stream):
        try:
            frames = packet.decode()
        except FFmpegError as exc:
            if is_passing(exc):
                raise
            source.damaged_packets += 1
            continue
        for frame in frames:
            for alike in as_first.alike(frame):  # type: ignore[arg-type] # the stream is sound
                for even in resampler.resample(alike):
                    yield from written.encode(even)
    for even in resampler.resample(None):
        yield from written.encode(even)
    yield from written.encode(None)


class _AsFirst:
    """Brings frames into the form of the first: recordings change from stereo to mono and back."""

    def __init__(self) -> None:
        self._first: AudioFrame | None = None
        self._form: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None

    def alike(self, frame: AudioFrame) -> list[AudioFrame]:
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._first is None:
            self._first, self._form = frame, form
        first = self._first
        if form == (first.format.name, first.layout.name, first.sample_rate):
            return [frame]
        if self._resampler is None or form != self._form:
            self._resampler = AudioResampler(first.format, first.layout, first.sample_rate)
            self._form = form
        parts = self._resampler.resample(frame)
        for part in parts:
            if part.pts is not None and part.time_base is not None and first.time_base is not None:
                part.pts = round(part.pts * part.time_base / first.time_base)
                part.time_base = first.time_base
        return parts
