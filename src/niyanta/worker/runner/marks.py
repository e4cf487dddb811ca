"""Marks in a process's output, at which its log lines belong.

What a process prints travels by a pipe, and what it logs by the control socket. So that both come out in the order
in which they went in, the process writes a mark into the pipe for each line that it logs. A mark has a word in it
that is new for each process, so that nothing that is printed by chance is taken for one. It is written in one piece,
and may stand in the middle of a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

__all__ = ["END", "MarkFinder", "mark"]

END = 0
"""The number of the mark with which an attempt's output ends, when its process goes on."""

_EDGE = b"\x1e"  # ASCII's record separator
_MOST_BYTES = 64


def mark(word: str, number: int) -> bytes:
    """The mark with a number."""
    return b"%s%s:%d%s" % (_EDGE, word.encode(), number, _EDGE)


class MarkFinder:
    """Takes the marks out of a stream of bytes."""

    def __init__(self, word: str) -> None:
        self._word = word.encode()
        self._held = b""

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        """Made when it is first needed: a tenth of a millisecond, and most attempts log nothing."""
        return re.compile(b"%s%s:([0-9]{1,18})%s" % (_EDGE, re.escape(self._word), _EDGE))

    def feed(self, data: bytes) -> Iterator[bytes | int]:
        """The bytes that aren't marks, and between them the numbers of those that are."""
        if not self._held and _EDGE not in data:
            yield data
            return
        parts = self._pattern.split(self._held + data)
        for text, number in zip(parts[0::2], parts[1::2], strict=False):
            if text:
                yield text
            yield int(number)
        text = parts[-1]
        begun = text.rfind(_EDGE, max(0, len(text) - _MOST_BYTES))
        self._held = text[begun:] if begun >= 0 else b""
        if text := text[: len(text) - len(self._held)]:
            yield text

    def end(self) -> bytes:
        """What is left when the stream has ended."""
        held, self._held = self._held, b""
        return held
