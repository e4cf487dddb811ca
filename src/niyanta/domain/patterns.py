"""Regular expressions of customers, matched in a time that grows with the text only.

A backtracking matcher, such as the standard library's, needs exponential time for ``(a+)+$`` and some text. So the
standard library only parses a pattern here; matching follows all alternatives at once. What needs backtracking
(look-around, references to groups) is refused when a pattern is compiled.
Source: Thompson, "Regular expression search algorithm", CACM 11 (1968); Cox, https://swtch.com/~rsc/regexp/regexp1.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from re import _constants as ops  # type: ignore[attr-defined]  # the standard library's parser has no public name
from re import _parser  # type: ignore[attr-defined]  # as above
from typing import Any

__all__ = ["MAX_PATTERN_LENGTH", "Pattern", "PatternError"]

MAX_PATTERN_LENGTH = 1000
_MOST_STEPS = 2000
"""Size of a compiled pattern; counted repetitions are written out."""
_MOST_REMEMBERED = 4000
_CHARACTERS_PER_UNIT = 4

_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")

Test = Callable[[str], bool]
_Set = frozenset[int]


class PatternError(ValueError):
    """The pattern can't be used; the message says why."""


class Pattern:
    """A compiled pattern, which is searched for anywhere in a text.

    The dialect is what ECMA-262 and Python have in common: ``\\d`` and ``\\w`` are ASCII, ``^`` and ``$`` are the
    ends of the text.

    Raises:
        PatternError: Not well formed, too large, or it needs backtracking.
    """

    def __init__(self, source: str) -> None:
        if len(source) > MAX_PATTERN_LENGTH:
            raise PatternError(f"longer than {MAX_PATTERN_LENGTH} characters")
        try:
            parsed = _parser.parse(source, re.ASCII)
        except (re.error, OverflowError, RecursionError, Warning) as exc:
            raise PatternError(f"not a regular expression: {exc}") from exc
        if parsed.state.flags & ~re.ASCII:
            raise PatternError("flags are not supported")
        self._tests: list[Test | None] = []
        self._nexts: list[tuple[int, ...]] = []
        self._conditions: list[Any] = []
        self._accept = self._add()
        try:
            self._start: _Set = frozenset({self._sequence(parsed, self._accept)})
        except RecursionError as exc:
            raise PatternError("nested too deeply") from exc
        self._closed: dict[tuple[_Set, bool, bool, bool, bool], tuple[_Set, bool]] = {}
        self._moved: dict[tuple[_Set, str], _Set] = {}

    @property
    def size(self) -> int:
        """Steps of the compiled pattern."""
        return len(self._nexts)

    def search(self, text: str, spend: Callable[[int], None]) -> bool:
        """Whether the pattern matches anywhere.

        Args:
            text: Where to look.
            spend: Told how much work is about to be done, in units of about a microsecond; may raise to stop it.
        """
        spend(1 + len(text) // _CHARACTERS_PER_UNIT)
        state = self._start
        before_word = False
        last = len(text)
        for place in range(last + 1):
            at_end = place == last
            character = "" if at_end else text[place]
            after_word = character in _WORD
            key = (state, place == 0, at_end, before_word, after_word)
            closed = self._closed.get(key)
            if closed is None:
                spend(len(self._nexts))
                closed = self._remember(self._closed, key, self._closure(*key))
            here, accepted = closed
            if accepted:
                return True
            if at_end:
                break
            moved = self._moved.get((here, character))
            if moved is None:
                spend(len(here))
                steps = (self._nexts[step][0] for step in here if self._holds(step, character))
                moved = self._remember(self._moved, (here, character), self._start.union(steps))
            state, before_word = moved, after_word
        return False

    @staticmethod
    def _remember(memory: dict[Any, Any], key: Any, found: Any) -> Any:
        if len(memory) >= _MOST_REMEMBERED:
            memory.clear()
        memory[key] = found
        return found

    def _holds(self, step: int, character: str) -> bool:
        test = self._tests[step]
        return test is not None and test(character)

    def _closure(
        self, state: _Set, at_start: bool, at_end: bool, before_word: bool, after_word: bool
    ) -> tuple[_Set, bool]:
        """The steps that wait for a character, and whether the end is reached without one."""
        truths = {
            ops.AT_BEGINNING: at_start,
            ops.AT_BEGINNING_STRING: at_start,
            ops.AT_END: at_end,
            ops.AT_END_STRING: at_end,
            ops.AT_BOUNDARY: before_word != after_word,
            ops.AT_NON_BOUNDARY: before_word == after_word,
            None: True,
        }
        seen: set[int] = set()
        waiting = list(state)
        while waiting:
            step = waiting.pop()
            if step in seen:
                continue
            seen.add(step)
            if self._tests[step] is None and truths[self._conditions[step]]:
                waiting += self._nexts[step]
        return frozenset(step for step in seen if self._tests[step] is not None), self._accept in seen

    def _add(self, nexts: Iterable[int] = (), test: Test | None = None, condition: Any = None) -> int:
        if len(self._nexts) >= _MOST_STEPS:
            raise PatternError("too large; counted repetitions count as often as they may repeat")
        self._tests.append(test)
        self._nexts.append(tuple(nexts))
        self._conditions.append(condition)
        return len(self._nexts) - 1

    def _sequence(self, parsed: Iterable[Any], after: int) -> int:
        """The first step of what was parsed, when ``after`` is what follows it."""
        for operation, argument in reversed(list(parsed)):
            after = self._one(operation, argument, after)
        return after

    def _one(self, operation: Any, argument: Any, after: int) -> int:
        test = _test_of(operation, argument)
        if test is not None:
            return self._add([after], test)
        if operation is ops.SUBPATTERN:
            _, added, removed, inner = argument
            if added or removed:
                raise PatternError("flags are not supported")
            return self._sequence(inner, after)
        if operation is ops.BRANCH:
            return self._add([self._sequence(branch, after) for branch in argument[1]])
        if operation in (ops.MAX_REPEAT, ops.MIN_REPEAT):
            least, most, inner = argument
            return self._repeat(least, most, inner, after)
        if operation is ops.AT:
            return self._add([after], condition=argument)
        raise PatternError("look-around, references to groups and possessive repetitions are not supported")

    def _repeat(self, least: int, most: Any, inner: Any, after: int) -> int:
        if most is ops.MAXREPEAT:
            loop = self._add()
            self._nexts[loop] = (self._sequence(inner, loop), after)
            after = loop
        else:
            end = after
            for _ in range(int(most) - least):
                after = self._add([self._sequence(inner, after), end])
        for _ in range(least):
            after = self._sequence(inner, after)
        return after


def _test_of(operation: Any, argument: Any) -> Test | None:
    """The test that one character must pass; None when the operation isn't about one character."""
    if operation is ops.LITERAL:
        return chr(argument).__eq__
    if operation is ops.NOT_LITERAL:
        return chr(argument).__ne__
    if operation is ops.ANY:
        return lambda character: character not in "\n\r\u2028\u2029"
    if operation is ops.IN:
        return _class_test(argument)
    return None


def _class_test(parts: list[tuple[Any, Any]]) -> Test:
    negated = bool(parts) and parts[0][0] is ops.NEGATE
    tests = [_member_test(kind, value) for kind, value in parts[1 if negated else 0 :]]

    @lru_cache(maxsize=256)
    def test(character: str) -> bool:
        return any(one(character) for one in tests) is not negated

    return test


def _member_test(kind: Any, value: Any) -> Test:
    if kind is ops.LITERAL:
        return chr(value).__eq__
    if kind is ops.RANGE:
        low, high = chr(value[0]), chr(value[1])
        return lambda character: low <= character <= high
    categories: dict[Any, Test] = {
        ops.CATEGORY_DIGIT: lambda character: "0" <= character <= "9",
        ops.CATEGORY_NOT_DIGIT: lambda character: not "0" <= character <= "9",
        ops.CATEGORY_WORD: lambda character: character in _WORD,
        ops.CATEGORY_NOT_WORD: lambda character: character not in _WORD,
        ops.CATEGORY_SPACE: str.isspace,
        ops.CATEGORY_NOT_SPACE: lambda character: not character.isspace(),
    }
    return categories[value]
