"""Tables for people, without a library: aligned columns that are the same on a terminal and in a pipe.

Nothing is ever cut. Where a terminal is too narrow, the columns that may be folded are, over several lines; ids,
states and numbers never, since they are what one copies or greps for.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import zip_longest

import click

__all__ = ["Column", "render"]

_GAP = "  "
_INDENT = "        "
_WIDEST = 120
_NARROWEST = 12  # what a folded column keeps


class Column:
    """One column.

    Args:
        title: Its head.
        folds: Whether its cells may be broken over several lines.
        right: Whether numbers stand at its right.
    """

    def __init__(self, title: str, *, folds: bool = False, right: bool = False) -> None:
        self.title = title
        self.folds = folds
        self.right = right


def render(columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int | None = None) -> str:
    """The table as text, a line a row, its head first; cells may carry colours.

    Args:
        columns: One for each cell of a row.
        rows: Their cells; line breaks in them are shown as spaces.
        width: Columns of the terminal; what standard output has when None, without a bound where that is none.
    """
    width = _terminal_width() if width is None else width
    heads = [click.style(column.title.upper(), dim=True) for column in columns]
    grid = [heads, *([" ".join(cell.split("\n")) for cell in row] for row in rows)]
    widths = [max(_length(cells[i]) for cells in grid) for i in range(len(columns))]
    if not _narrow(columns, widths, width) and columns[-1].folds:
        return "\n".join(line for row in grid for line in _in_two(columns[:-1], widths[:-1], row, width))
    return "\n".join(line for row in grid for line in _lines(columns, widths, row))


def _in_two(
    columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str], width: int | None
) -> Iterable[str]:
    """A row whose last cell stands below the others, as it finds no place beside them."""
    yield from _lines(columns, widths, cells[:-1])
    if cells[-1]:
        room = max(_NARROWEST, (width or _WIDEST) - len(_INDENT))
        yield from (_INDENT + part for part in _folded(cells[-1], room))


def _terminal_width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _narrow(columns: Sequence[Column], widths: list[int], width: int | None) -> bool:
    """Take from the widest columns that fold what is too much; whether that is enough."""
    if width is None:
        return True
    spare = width - sum(widths) - len(_GAP) * (len(widths) - 1)
    folding = [i for i, column in enumerate(columns) if column.folds]
    while spare < 0 and folding:
        widest = max(folding, key=lambda i: widths[i])
        if widths[widest] <= _NARROWEST:
            return False
        widths[widest] -= 1
        spare += 1
    return spare >= 0


def _lines(columns: Sequence[Column], widths: Sequence[int], row: Sequence[str]) -> Iterable[str]:
    cells = [
        _folded(cell, wide) if column.folds else [cell]
        for column, wide, cell in zip(columns, widths, row, strict=True)
    ]
    for parts in zip_longest(*cells, fillvalue=""):
        padded = [
            " " * (wide - _length(part)) + part if column.right else part + " " * (wide - _length(part))
            for column, wide, part in zip(columns, widths, parts, strict=True)
        ]
        yield _GAP.join(padded).rstrip()


def _folded(cell: str, width: int) -> list[str]:
    if _length(cell) <= width:
        return [cell]
    return textwrap.wrap(click.unstyle(cell), width, break_on_hyphens=False) or [""]


def _length(text: str) -> int:
    """Places that a text takes: wide letters take two, and what combines with others none."""
    plain = click.unstyle(text)
    if plain.isascii():
        return len(plain)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in plain)
    return len(plain) + wide - sum(unicodedata.combining(c) != 0 for c in plain)
