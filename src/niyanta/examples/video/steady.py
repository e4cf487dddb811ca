"""Single times that were harmed on their way.

One flipped bit in a broadcast moves a picture by hours. Taken at its word it would stay on the screen for as long,
and whatever comes after it would be too late to be shown. A time that leaps away, and back a moment later, is
mended: the packets between get times between. A leap that isn't taken back is real, be it a gap or a time that begins
again; but for what one time of a broadcast moves at the very beginning or the very end, where nothing lies on the
other side. There it is put beside its neighbour.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

from av.packet import Packet

__all__ = ["Steady"]

_LEAP_SECONDS = Fraction(1, 2)
_LEAP_STEPS = 20
"""A leap is farther than both of these."""
_MOST_HELD = 32
"""Packets in a row that one time may have moved: those that a broadcast sends with one time between them."""
_MOST_AT_AN_END = {"video": 1, "audio": 16}
"""The same where nothing comes before, or after, to show that a leap is taken back."""


class Steady:
    """Mends the times of one stream's packets.

    Args:
        twofold: Whether each packet has two times of its own, of which only one may be harmed.

    Attributes:
        mended: How many packets got another time.
    """

    def __init__(self, *, twofold: bool) -> None:
        self.mended = 0
        self._twofold = twofold
        self._last: Fraction | None = None
        self._step = Fraction(0)
        self._lag = Fraction(0)
        self._held: list[tuple[Packet[Any], Fraction]] = []
        self._head: list[Packet[Any]] | None = [] if twofold else None

    def feed(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """Take the next packet; gives those whose times are known to be good by now."""
        if self._head is None:
            yield from self._follow(packet)
            return
        self._head.append(packet)
        if _time(packet) is None or len(self._head) > 2 * _MOST_AT_AN_END[packet.stream.type]:
            head, self._head = self._head, None
            self._mend_beginning(head)
            for one in head:
                yield from self._follow(one)

    def _mend_beginning(self, head: list[Packet[Any]]) -> None:
        """Put packets before the first leap beside those behind it, if one time may have moved them."""
        timed = [(packet, now) for packet in head if (now := _time(packet)) is not None]
        steps = [later - now for (_, now), (_, later) in pairwise(timed)]
        forward = sorted(step for step in steps if step > 0)
        if not forward:
            return
        self._step = forward[(len(forward) - 1) // 2]
        first, began_at = timed[0]
        leaps = [number for number, one in enumerate(steps, 1) if self._leaps(one)]
        if not leaps:
            lag = self._lag_of(first)
            if lag is not None and self._leaps(lag):
                self._set(first, began_at, None)
        elif len(leaps) == 1 and leaps[0] <= _MOST_AT_AN_END[first.stream.type]:  # it isn't taken back
            for number, (packet, _) in enumerate(timed[: leaps[0]]):
                self._place(packet, timed[leaps[0]][1] - self._step * (leaps[0] - number))

    def _follow(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        if self._twofold and not self._held:
            self._agree(packet)
        now = _time(packet)
        if now is None:  # the empty packet at the end, or a stream without times
            if self._twofold and len(self._held) <= _MOST_AT_AN_END[packet.stream.type]:
                for number, (held, _) in enumerate(self._held, 1):
                    self._place(held, (self._last or Fraction(0)) + self._step * number)
            yield from self._released()
            yield packet
            return
        if self._held and not self._leaps(now - self._held[-1][1]):
            self._held.append((packet, now))
            if len(self._held) > _MOST_HELD:
                yield from self._released()
            return
        if self._held and self._comes_back(now):
            self._mend(now)
        yield from self._released()
        if self._last is None or not self._leaps(now - self._last):
            self._take(packet, now)
            yield packet
        else:
            self._held.append((packet, now))

    def _leaps(self, distance: Fraction) -> bool:
        return abs(distance) > max(_LEAP_SECONDS, _LEAP_STEPS * self._step)

    def _comes_back(self, now: Fraction) -> bool:
        assert self._last is not None  # noqa: S101 -- nothing is held before the first
        return self._last < now and not self._leaps(now - self._last - self._step * len(self._held))

    def _mend(self, now: Fraction) -> None:
        """Spread what is held between the last good time and this one."""
        last = self._last or Fraction(0)
        step = (now - last) / (len(self._held) + 1)
        mended = []
        for number, (packet, _) in enumerate(self._held, 1):
            at = last + number * step
            self._place(packet, at)
            mended.append((packet, at))
        self._held = mended

    def _place(self, packet: Packet[Any], at: Fraction) -> None:
        lag = self._lag_of(packet)
        self._set(packet, at, None if lag is None or self._leaps(lag) else at + lag)

    def _agree(self, packet: Packet[Any]) -> None:
        """Where one of a packet's two times has leapt away, take the other's word."""
        lag = self._lag_of(packet)
        if lag is None or self._last is None or not self._step or not self._leaps(lag):
            return
        decoded, shown = packet.dts * packet.time_base, packet.pts * packet.time_base  # type: ignore[operator]
        if not self._leaps(decoded - self._last):
            self._set(packet, decoded, None)
        elif not self._leaps(shown - self._lag - self._last):
            self._set(packet, shown - self._lag, shown)

    def _set(self, packet: Packet[Any], decoded: Fraction, shown: Fraction | None) -> None:
        """Give a packet new times; None for that of showing leaves its picture where the decoder puts it."""
        base = packet.time_base or Fraction(1)
        if packet.dts is not None:
            packet.dts = round(decoded / base)
        packet.pts = None if shown is None else round(shown / base)
        self.mended += 1

    @staticmethod
    def _lag_of(packet: Packet[Any]) -> Fraction | None:
        """How much later it is shown than decoded."""
        if packet.pts is None or packet.dts is None or packet.time_base is None:
            return None
        lag: Fraction = (packet.pts - packet.dts) * packet.time_base
        return lag

    def _take(self, packet: Packet[Any], now: Fraction) -> None:
        if self._last is not None and not self._leaps(now - self._last):
            self._step = max(Fraction(0), now - self._last) or self._step
        self._last = now
        lag = self._lag_of(packet)
        if lag is not None and not self._leaps(lag):
            self._lag = lag

    def _released(self) -> Iterator[Packet[Any]]:
        held, self._held = self._held, []
        for packet, now in held:
            self._take(packet, now)
            yield packet


def _time(packet: Packet[Any]) -> Fraction | None:
    ticks = packet.dts if packet.dts is not None else packet.pts
    if ticks is None or packet.time_base is None:
        return None
    now: Fraction = ticks * packet.time_base
    return now
