"""Regular expressions of customers, matched in a time that grows with the text only.

A backtracking matcher, such as the standard library's, needs exponential time for ``(a+)+$`` and some text. RE2 never
backtracks and keeps to a bound on its memory, so what would need it (look-around, references to groups) is refused
when a pattern is compiled.
Source: https://github.com/google/re2/wiki/Syntax; Cox, https://swtch.com/~rsc/regexp/regexp1.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import re2

from niyanta.domain.limits import MAX_PATTERN_LENGTH

__all__ = ["Pattern", "PatternError"]

_MOST_BYTES = 1 << 20
"""Memory for one pattern: its program, which is refused when it needs more, and what RE2 remembers of its states."""
_STEPS_PER_UNIT = 140
"""Steps times bytes of text in a microsecond, measured where RE2 is at its slowest, without memory for its states."""

_HUGE_REPETITION = re.compile(r"\{[0-9]*,?[0-9]{9}")
"""RE2 takes a repetition as plain text when its number has nine digits; everybody else means a repetition."""
_ECMA_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)


class PatternError(ValueError):
    """The pattern can't be used; the message says why."""


class Pattern:
    r"""A compiled pattern, which is searched for anywhere in a text.

    The dialect is RE2's, and ECMA-262's ``\uXXXX`` besides: ``\d``, ``\w``, ``\s`` and ``\b`` are ASCII, ``^``
    and ``$`` are the ends of the text, ``.`` is anything but a line feed, a repetition may have up to 1,000.

    Raises:
        PatternError: Not well formed, too large, or it needs backtracking.
    """

    def __init__(self, source: str) -> None:
        if len(source) > MAX_PATTERN_LENGTH:
            raise PatternError(f"longer than {MAX_PATTERN_LENGTH} characters")
        if _HUGE_REPETITION.search(source):
            raise PatternError("a repetition may have up to 1,000")
        try:
            self._compiled = re2.compile(_ECMA_ESCAPE.sub(_in_re2, source), _options())
        except re2.error as exc:
            raise PatternError(f"not a regular expression that RE2 takes: {_told(exc)}") from exc
        except UnicodeEncodeError as exc:
            raise PatternError("not a regular expression: it has half of a surrogate pair") from exc

    @property
    def size(self) -> int:
        """Steps of the compiled pattern."""
        return int(self._compiled.programsize)

    def search(self, text: str, spend: Callable[[int], None]) -> bool:
        """Whether the pattern matches anywhere.

        Args:
            text: Where to look.
            spend: Told how much work may be about to be done, in units of about a microsecond; may raise to stop it.
        """
        encoded = text.encode("utf-8", "surrogatepass")
        spend(1 + len(encoded) * self.size // _STEPS_PER_UNIT)
        return self._compiled.search(encoded) is not None


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = _MOST_BYTES
    options.never_capture = True
    options.log_errors = False
    return options


def _in_re2(escape: re.Match[str]) -> str:
    return f"\\x{{{escape[1]}}}" if escape[1] else escape[0]


def _told(error: Exception) -> str:
    found = error.args[0] if error.args else ""
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)
