"""Times that begin again.

A recording that was interrupted, or two recordings one after another in one file, count their times from the start
again. Read as they are, the second half would lie over the first. `look_over` finds these places before anything is
decoded; each piece is then moved to where the one before it ended, picture and sound by the same distance.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from av.packet import Packet

from niyanta.examples.video.parameters import Timeline

__all__ = ["ShownOrder", "Walk", "look_over"]

_BACK_SECONDS = Fraction(1, 2)
"""A time this far before the last begins a new piece. Less is disorder, which needs no move."""
_GUESSED_STEP_SECONDS = Fraction(1, 25)
"""Of packets that don't say how long they last."""


class Walk:
    """Follows the packets of one stream, and tells in which piece each lies."""

    def __init__(self) -> None:
        self.piece = 0
        self._last: Fraction | None = None

    def step(self, packet: Packet[Any]) -> int:
        """The packet's piece."""
        ticks = packet.dts if packet.dts is not None else packet.pts
        if ticks is not None and packet.time_base is not None:
            now = ticks * packet.time_base
            if self._last is not None and now < self._last - _BACK_SECONDS:
                self.piece += 1
                self._last = now
            if packet.dts is not None:  # times of showing go up and down
                self._last = now
        return self.piece


class ShownOrder:
    """Gives frames, which a decoder shows in another order than it was fed, the times of feeding in their order."""

    def __init__(self) -> None:
        self._fed: deque[int] = deque()
        self._delay: int | None = None

    def fed(self, time: int | None) -> None:
        """A packet with this time of decoding goes to the decoder."""
        if time is not None:
            self._fed.append(time)

    def shown(self, time: int | None) -> int | None:
        """When the next frame is shown.

        Args:
            time: Of decoding, of the packet with which the frame came out; None at the end.
        """
        if time is not None and self._fed:
            if self._delay is None:
                self._delay = max(0, time - self._fed[0])
            while self._fed[0] < time - self._delay and len(self._fed) > 1:
                self._fed.popleft()  # of a packet that gave no frame
        return self._fed.popleft() if self._fed else None


def look_over(packets: Iterable[Packet[Any]]) -> Timeline:
    """Find the pieces.

    Args:
        packets: Those of the picture and of the sound, in the order of the file.
    """
    picture, sound = _Extent(), _Extent()
    for packet in packets:
        if packet.pts is not None and packet.time_base is not None and not packet.is_discard:
            (picture if packet.stream.type == "video" else sound).add(packet)
    streams = [extent for extent in (picture, sound) if extent.pieces]
    if not streams:
        return Timeline()
    if len(picture.pieces) == len(sound.pieces):
        for extent in streams:
            extent.moves = _moves(streams)
    else:  # nothing says which pieces belong together: each stream for itself
        for extent in streams:
            extent.moves = _moves([extent])
    return Timeline(
        first_us=_us(min(extent.pieces[0][0] for extent in streams)),
        end_us=_us(max(extent.pieces[-1][1] + extent.moves[-1] for extent in streams)),
        picture_moves_us=[_us(move) for move in picture.moves],
        sound_moves_us=[_us(move) for move in sound.moves],
    )


class _Extent:
    """Where each piece of a stream begins and ends, in seconds."""

    def __init__(self) -> None:
        self._walk = Walk()
        self.pieces: list[tuple[Fraction, Fraction]] = []
        self.moves: list[Fraction] = []
        self._step = Fraction(0)

    def add(self, packet: Packet[Any]) -> None:
        piece = self._walk.step(packet)
        base = packet.time_base or Fraction(1)
        begin = (packet.pts or 0) * base
        if packet.duration:
            self._step = packet.duration * base
        end = begin + (self._step or _GUESSED_STEP_SECONDS)
        if piece == len(self.pieces):
            self.pieces.append((begin, end))
        else:
            first, last = self.pieces[piece]
            self.pieces[piece] = min(first, begin), max(last, end)


def _moves(streams: list[_Extent]) -> list[Fraction]:
    """By how much each piece moves, for streams whose pieces belong together."""
    moves = [Fraction(0)]
    for number in range(1, len(streams[0].pieces)):
        end = max(extent.pieces[number - 1][1] for extent in streams) + moves[-1]
        moves.append(end - min(extent.pieces[number][0] for extent in streams))
    return moves


def _us(seconds: Fraction) -> int:
    return round(seconds * 1_000_000)
