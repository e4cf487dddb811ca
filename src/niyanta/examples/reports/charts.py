"""Bar and line charts as SVG text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from html import escape

__all__ = ["bar_chart", "line_chart", "short"]

_WIDTH = 980
_ROW_HEIGHT = 30
_LABEL_WIDTH = 190
_VALUE_WIDTH = 150
_LINE_HEIGHT = 300
_MOST_LABEL_CHARACTERS = 24


def bar_chart(bars: Sequence[tuple[str, Decimal]], total: Decimal) -> str:
    """Horizontal bars with their value and, where it makes sense, their share of the total."""
    lowest = min((Decimal(0), *(value for _, value in bars)))
    highest = max((Decimal(0), *(value for _, value in bars)))
    span = (highest - lowest) or Decimal(1)
    room = _WIDTH - _LABEL_WIDTH - _VALUE_WIDTH
    zero = _LABEL_WIDTH + float(-lowest / span) * room
    shares = total > 0 and lowest >= 0
    parts = []
    for number, (name, value) in enumerate(bars):
        y = number * _ROW_HEIGHT
        length = float(abs(value) / span) * room
        x = zero if value >= 0 else zero - length
        share = f" · {value / total * 100:.1f} %" if shares else ""
        label = name if len(name) <= _MOST_LABEL_CHARACTERS else f"{name[: _MOST_LABEL_CHARACTERS - 1]}…"
        parts.append(
            f"<g><title>{escape(name)}: {value:,f}</title>"
            f"<text x='{_LABEL_WIDTH - 12}' y='{y + 20}' text-anchor='end'>{escape(label) or '–'}</text>"
            f"<rect class='bar' x='{x:.1f}' y='{y + 5}' width='{max(1.0, length):.1f}' height='20' rx='3'/>"
            f"<text class='soft' x='{max(zero, x + length) + 10:.1f}' y='{y + 20}'>{short(value)}{share}</text></g>"
        )
    height = max(1, len(bars)) * _ROW_HEIGHT
    return f"<svg viewBox='0 0 {_WIDTH} {height}' role='img'>{''.join(parts)}</svg>"


def line_chart(points: Sequence[tuple[str, Decimal]]) -> str:
    """A curve over equally distant points, with an axis that starts at zero."""
    left, right, top, bottom = 70, _WIDTH - 20, 16, _LINE_HEIGHT - 34
    ticks = list(_ticks(min((Decimal(0), *(v for _, v in points))), max((Decimal(0), *(v for _, v in points)))))
    low, high = ticks[0], ticks[-1]

    def y_of(value: Decimal) -> float:
        return bottom - float((value - low) / (high - low)) * (bottom - top)

    def x_of(number: int) -> float:
        return left + (right - left) * (number / (len(points) - 1) if len(points) > 1 else 0.5)

    grid = "".join(
        f"<line class='grid' x1='{left}' x2='{right}' y1='{y_of(tick):.1f}' y2='{y_of(tick):.1f}'/>"
        f"<text class='soft' x='{left - 10}' y='{y_of(tick) + 4:.1f}' text-anchor='end'>{short(tick)}</text>"
        for tick in ticks
    )
    every = max(1, -(-len(points) // 12))
    names = "".join(
        f"<text class='soft' x='{x_of(n):.1f}' y='{_LINE_HEIGHT - 10}' text-anchor='middle'>{escape(name)}</text>"
        for n, (name, _) in enumerate(points)
        if n % every == 0
    )
    path = " L".join(f"{x_of(n):.1f} {y_of(value):.1f}" for n, (_, value) in enumerate(points))
    zero = y_of(Decimal(0))
    area = f"<path class='area' d='M{x_of(0):.1f} {zero:.1f} L{path} L{x_of(len(points) - 1):.1f} {zero:.1f} Z'/>"
    dots = "".join(
        f"<circle class='dot' cx='{x_of(n):.1f}' cy='{y_of(value):.1f}' r='3.5'>"
        f"<title>{escape(name)}: {value:,f}</title></circle>"
        for n, (name, value) in enumerate(points)
    )
    curve = f"<path class='curve' d='M{path}'/>"
    return f"<svg viewBox='0 0 {_WIDTH} {_LINE_HEIGHT}' role='img'>{grid}{area}{curve}{dots}{names}</svg>"


def short(value: Decimal) -> str:
    """A number for a label: 1,234; 12.3 k; 4.56 M."""
    size = abs(value)
    for limit, unit in ((Decimal(10) ** 12, "T"), (Decimal(10) ** 9, "G"), (Decimal(10) ** 6, "M")):
        if size >= limit:
            return f"{value / limit:.2f} {unit}"
    if size >= 10_000:
        return f"{value / 1000:.1f} k"
    return f"{value:,.2f}".removesuffix(".00")


def _ticks(low: Decimal, high: Decimal) -> Iterator[Decimal]:
    """Two to nine round numbers that enclose both."""
    high = high if high > low else low + 1
    span = high - low
    step = Decimal(10) ** (span.adjusted() - 1)
    for factor in (1, 2, 5, 10, 20):
        if span / (step * factor) <= 7:
            step *= factor
            break
    tick = low // step * step - (step if low % step < 0 else 0)
    while tick < high:
        yield tick
        tick += step
    yield tick
