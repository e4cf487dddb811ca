"""Segments and sound into one file, without encoding anything again."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from niyanta.examples.storage import Place
from niyanta.examples.video.formats import Container

__all__ = ["decode_times", "join"]


def join(
    segments: Sequence[Place],
    delay: int,
    sound: tuple[Place, Fraction] | None,
    container: Container,
    frame_seconds: Fraction,
    path: Path,
    step: Callable[[float], None],
) -> float:
    """Write the output.

    Args:
        segments: Files of the picture, in order.
        delay: By how many places a packet of the picture may come ahead of its turn.
        sound: The sound's file and its lead in seconds; None for none.
        container: Kind of output.
        frame_seconds: How long the last frame is shown.
        path: File to write.
        step: Called now and then with the seconds done.

    Returns:
        The duration in seconds: the end of the last frame or of the sound, whichever is later.
    """
    with ExitStack() as stack:
        output = stack.enter_context(av.open(str(path), "w", format=container.muxer, options=dict(container.options)))
        assert isinstance(output, OutputContainer)  # noqa: S101 -- mode "w"
        first = _opened(stack, segments[0]).streams.video[0]
        picture = output.add_stream_from_template(first, opaque=True)
        tracks = [_picture_packets(segments, delay, frame_seconds, picture)]
        if sound is not None:
            file = _opened(stack, sound[0])
            track = output.add_stream_from_template(file.streams.audio[0], opaque=True)
            tracks.append(_sound_packets(file, sound[1], track))
        end = Fraction(0)
        for at, packet in heapq.merge(*tracks, key=lambda timed: timed[0]):
            assert packet.pts is not None and packet.time_base is not None  # noqa: S101, PT018 -- set below
            end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
            output.mux(packet)
            step(float(at))
        return float(end)


def decode_times(pts: Iterable[int], delay: int, step: int) -> Iterator[int]:
    """When each packet is to be decoded: ``delay`` frames before the frame whose turn it is to be shown.

    Encoders give these per segment and don't know of the others; made anew from the times of showing, they grow
    strictly over all segments, and none is later than its frame is shown.

    Args:
        pts: Times of showing, in the order of decoding; the first is the smallest.
        delay: By how many places a packet may come ahead of its turn.
        step: Time between two frames, for what lies before the first.
    """
    waiting: list[int] = []
    for number, time in enumerate(pts):
        heapq.heappush(waiting, time)
        yield waiting[0] - step * (delay - number) if number < delay else heapq.heappop(waiting)


def _opened(stack: ExitStack, place: Place) -> InputContainer:
    file = stack.enter_context(place.open())
    found = stack.enter_context(av.open(file, "r", format="nut", buffer_size=1 << 20))
    assert isinstance(found, InputContainer)  # noqa: S101 -- mode "r"
    return found


def _packets(place: Place) -> Iterator[Packet[Any]]:
    with ExitStack() as stack:
        file = _opened(stack, place)
        yield from (packet for packet in file.demux(file.streams[0]) if packet.size)


def _picture_packets(
    segments: Sequence[Place], delay: int, frame_seconds: Fraction, stream: Stream
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    packets, twins = itertools.tee(packet for place in segments for packet in _packets(place))
    first = next(twins)
    base = first.time_base or Fraction(1, 1000)
    step = max(1, round(frame_seconds / base))
    times = decode_times((packet.pts or 0 for packet in itertools.chain([first], twins)), delay, step)
    for packet, dts in zip(packets, times, strict=True):
        packet.dts, packet.duration, packet.stream = dts, step, stream
        yield dts * base, packet


def _sound_packets(file: InputContainer, lead: Fraction, stream: Stream) -> Iterator[tuple[Fraction, Packet[Any]]]:
    for packet in file.demux(file.streams[0]):
        if packet.pts is None or not packet.size:
            continue
        base = packet.time_base or Fraction(1, 1000)
        packet.pts -= round(lead / base)
        packet.dts, packet.stream = packet.pts, stream
        yield packet.pts * base, packet
