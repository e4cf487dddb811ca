"""Text from handlers and programs, made fit to be sent and stored; and a bound on how many lines of it are."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence

from niyanta.domain.limits import MAX_TEXT_BYTES

__all__ = [
    "LineGate",
    "LineSplitter",
    "clean",
    "describe",
    "is_group",
    "leaves",
    "plain",
    "stands_for_many",
    "words_of",
]


DRAWN_SECONDS = 10.0
"""How often a line that is being drawn over is shown as it stands."""

_UNFIT = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """The same text, with U+FFFD for what MessagePack or PostgreSQL can't hold: NUL and lone surrogates."""
    return _UNFIT.sub("\ufffd", text) if _UNFIT.search(text) else text


def plain(text: str, most_bytes: int = MAX_TEXT_BYTES) -> str:
    """Clean text of at most so many bytes; what is longer is cut off, and ends with an ellipsis."""
    text = clean(text[: most_bytes + 1])
    encoded = text.encode()
    if len(encoded) <= most_bytes:
        return text
    return encoded[: most_bytes - 3].decode(errors="ignore") + "…"


_MOST_OF_GROUP = 10
"""Exceptions of a group that are described."""
_MOST_GROUPS = 100
"""Groups within a group; more add nothing to what can be read, and may stand in each other again and again."""


def words_of(value: object) -> str:
    """The text of somebody else's object; never raises, whatever the object's own code does."""
    try:
        return str(value)
    except BaseException:
        return "(its text can't be made)"


def describe(exc: BaseException) -> str:
    """An exception as an error message; never raises, whatever the exception's own code does."""
    return plain(_described(exc, [_MOST_GROUPS]))


def _described(exc: BaseException, left: list[int]) -> str:
    """The same, unbounded; ``left`` is how many groups may yet be opened."""
    name = type(exc).__name__
    if not is_group(exc) or left[0] <= 0:
        words = plain(words_of(exc))
    else:
        left[0] -= 1
        inner: Sequence[BaseException] = _members_of(exc)
        said = [_described(each, left) for each in inner[:_MOST_OF_GROUP]]
        more = len(inner) - len(said)
        words = f"{_message_of(exc)}: {'; '.join(said)}{f'; {more} more' if more else ''}"
    return f"{name}: {words}" if words else name


# What a group was made with, whatever its class says of itself.
_message_of = BaseExceptionGroup.__dict__["message"].__get__
_members_of = BaseExceptionGroup.__dict__["exceptions"].__get__


def is_group(exc: BaseException) -> bool:
    """Whether it is a group; asks its type only, as its class may say anything of itself."""
    return issubclass(type(exc), BaseExceptionGroup)


def stands_for_many(exc: BaseException) -> bool:
    """Whether a group holds so many, counted wherever they stand, that nobody would read on."""
    left, opened = [exc], 0
    while left:
        each = left.pop()
        if is_group(each):
            opened += 1
            if opened > _MOST_GROUPS:
                return True
            left += _members_of(each)
    return False


def leaves(exc: BaseException) -> Iterator[BaseException]:
    """The exceptions that aren't groups, each once: itself, or those within it."""
    seen: set[int] = set()
    left = [exc]
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if is_group(each):
            left += _members_of(each)
        else:
            yield each


class LineSplitter:
    """Cuts a stream of bytes into lines, and lines of more than 8 KiB into several.

    A carriage return goes back to the start of the line, as on a terminal: of what a progress bar draws over itself
    only the last state is a line, and the state of the moment every ten seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rest = b""
        self._drawn_at = clock()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes, without their ends."""
        whole = self._rest + data
        *lines, self._rest = whole.split(b"\n")
        if b"\r" in whole:
            lines = [_last_state(line) for line in lines]
            lines += self._drawn()
        if len(self._rest) > MAX_TEXT_BYTES:
            *pieces, self._rest = _pieces(self._rest)
            lines += pieces
        if any(len(line) > MAX_TEXT_BYTES for line in lines):
            lines = [piece for line in lines for piece in _pieces(line)]
        return lines

    def _drawn(self) -> list[bytes]:
        """Forget what is drawn over of the unfinished line; but now and then show it."""
        *before, after = self._rest.split(b"\r")
        states = [state for state in before if state]
        if not states:
            return []
        # At its end a carriage return may yet turn out to be half of a line's end: what it ends must be kept.
        self._rest = after or states.pop() + b"\r"
        if not states or self._clock() - self._drawn_at < DRAWN_SECONDS:
            return []
        self._drawn_at = self._clock()
        return states[-1:]

    def end(self) -> list[bytes]:
        """What is left when the stream has ended."""
        rest, self._rest = self._rest, b""
        return [_last_state(rest)] if rest else []


def _last_state(line: bytes) -> bytes:
    """What a terminal would show of a line that was drawn over; about, as a shorter text leaves the longer's end."""
    return next((state for state in reversed(line.split(b"\r")) if state), b"")


def _pieces(line: bytes) -> list[bytes]:
    pieces = []
    while len(line) > MAX_TEXT_BYTES:
        end = MAX_TEXT_BYTES
        while end > MAX_TEXT_BYTES - 4 and line[end] & 0xC0 == 0x80:  # not in the middle of a character
            end -= 1
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]


class LineGate:
    """Lets so many log lines of an attempt through, and counts the others.

    A flood of lines must not fill the agent's memory nor the service's tables; that some are missing must be seen.
    """

    def __init__(
        self, burst: int = 5_000, lines_per_second: float = 1_000.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = burst
        self._rate = lines_per_second
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()
        self._dropped = 0

    def admit(self, lines: int) -> int:
        """How many of so many lines may pass now; the rest counts as dropped."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        admitted = min(lines, int(self._tokens))
        self._tokens -= admitted
        self._dropped += lines - admitted
        return admitted

    def drop(self, lines: int) -> None:
        """Count lines that were dropped elsewhere."""
        self._dropped += lines

    def take_dropped(self) -> int:
        """How many were dropped since this was last asked."""
        count, self._dropped = self._dropped, 0
        return count
