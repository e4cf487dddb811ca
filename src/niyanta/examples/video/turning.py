"""Turning pictures the right way up.

Cameras write how they were held beside the picture, as a matrix: a point (x, y), y downwards, is shown at
(a x + c y, b x + d y). That can turn, mirror or both.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction

from av.filter import Graph
from av.video.frame import VideoFrame

__all__ = ["Turn", "Turner", "turn_of"]

_ALMOST = 0.02
"""How much of a turn counts as none."""
_STRAIGHT: dict[tuple[int, int, int, int], tuple[tuple[str, str], ...]] = {
    (1, 0, 0, 1): (),
    (-1, 0, 0, 1): (("hflip", ""),),
    (1, 0, 0, -1): (("vflip", ""),),
    (-1, 0, 0, -1): (("hflip", ""), ("vflip", "")),
    (0, 1, -1, 0): (("transpose", "clock"),),
    (0, -1, 1, 0): (("transpose", "cclock"),),
    (0, 1, 1, 0): (("transpose", "cclock_flip"),),
    (0, -1, -1, 0): (("transpose", "clock_flip"),),
}
"""Filters for the signs of (a, b, c, d)."""


@dataclass(frozen=True)
class Turn:
    """What makes a picture upright: filters and their arguments, in order."""

    filters: tuple[tuple[str, str], ...] = ()
    swaps_sides: bool = False
    """Whether width and height change places."""
    squares_pixels: bool = False


def turn_of(frame: VideoFrame, pixel_aspect: Fraction) -> Turn:
    """How to turn a frame.

    Any angle is possible; one that isn't straight leaves black corners. A matrix that means nothing turns nothing.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Turn()
    a, b, _, c, d, *_ = struct.unpack("9i", bytes(memoryview(data)))  # type: ignore[arg-type] # a buffer, which its type hides
    along, across = max(abs(a), abs(d)), max(abs(b), abs(c))
    if across <= _ALMOST * along:
        signs = (_sign(a), 0, 0, _sign(d))
    elif along <= _ALMOST * across:
        signs = (0, _sign(b), _sign(c), 0)
    elif a * d != b * c:
        return _slanted(frame, pixel_aspect, a, b, mirrored=a * d < b * c)
    else:
        return Turn()
    return Turn(_STRAIGHT.get(signs, ()), swaps_sides=signs[0] == 0 and signs in _STRAIGHT)


def _slanted(frame: VideoFrame, pixel_aspect: Fraction, a: int, b: int, *, mirrored: bool) -> Turn:
    angle = math.atan2(-b, -a) if mirrored else math.atan2(b, a)
    square = ("scale", f"{max(1, round(frame.width * pixel_aspect))}:{frame.height}")  # or it would be sheared
    rotate = ("rotate", f"angle={angle}:out_w=rotw({angle}):out_h=roth({angle})")
    return Turn((square, *((("hflip", ""),) if mirrored else ()), rotate), squares_pixels=True)


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


class Turner:
    """Turns frame after frame; how, and how large they are, may change on the way."""

    def __init__(self, pixel_aspect: Fraction) -> None:
        self._pixel_aspect = pixel_aspect
        self._seen: tuple[object, ...] | None = None
        self._graph: Graph | None = None

    def turned(self, frame: VideoFrame) -> VideoFrame:
        """The frame, upright."""
        # The matrix is looked at only where something has changed: a frame that was asked for it stays in memory
        # until the next garbage collection.
        seen = (frame.rotation, frame.width, frame.height, frame.format.name)
        if seen != self._seen:
            turn = turn_of(frame, self._pixel_aspect)
            self._graph, self._seen = _graph(frame, turn) if turn.filters else None, seen
        if self._graph is None:
            return frame
        self._graph.vpush(frame)
        return self._graph.vpull()


def _graph(frame: VideoFrame, turn: Turn) -> Graph:
    graph = Graph()
    last = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000)
    )
    for name, arguments in (*turn.filters, ("buffersink", "")):
        following = graph.add(name, arguments or None)
        last.link_to(following)
        last = following
    graph.configure()
    return graph
