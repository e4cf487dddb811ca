"""What a compiled schema is made of: functions that look at a value, count their work and report problems."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

from niyanta.domain.json_value import Json

__all__ = [
    "Check",
    "CheckRun",
    "Mismatch",
    "Path",
    "SchemaError",
    "TooExpensiveError",
    "all_of",
    "every",
    "frozen",
    "never",
    "test",
]

_BUDGET = 200_000
"""Units of about a microsecond."""


class Mismatch(NamedTuple):
    """Where a value doesn't fit, and why."""

    pointer: str
    """JSON pointer from the value that was checked; empty for the value itself."""
    message: str


class SchemaError(ValueError):
    """The schema can't be used."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer or '/'}: {message}")
        self.pointer = pointer
        self.message = message


class TooExpensiveError(Exception):
    """Checking the value would take more work than is allowed."""


class Path(NamedTuple):
    """A place in the value, as steps from the inside out."""

    outer: Path | None
    step: str | int


class CheckRun:
    """One check of one value: work that is left, and problems so far."""

    __slots__ = ("left", "most", "problems")

    def __init__(self, most: int) -> None:
        self.left = _BUDGET
        self.most = most
        self.problems: list[Mismatch] = []

    def spend(self, units: int) -> None:
        """Count work that is about to be done.

        Raises:
            TooExpensiveError: The whole check has cost more than it may.
        """
        self.left -= units
        if self.left < 0:
            raise TooExpensiveError("it would take too long")

    def report(self, path: Path | None, message: str) -> None:
        """Keep a problem, unless there are enough of them."""
        if len(self.problems) < self.most:
            self.problems.append(Mismatch(_pointer(path), message))


Check = Callable[[Json, Path | None, CheckRun, bool], bool]
"""Whether a value fits; the last argument says whether to report what doesn't."""


def _pointer(path: Path | None) -> str:
    steps: list[str] = []
    while path is not None:
        steps.append(str(path.step).replace("~", "~0").replace("/", "~1"))
        path = path.outer
    return "".join(f"/{step}" for step in reversed(steps))[:500]


def frozen(value: Json, run: CheckRun | None = None) -> Hashable:
    """A value that is equal for equal JSON: 1 is 1.0, but isn't true."""
    if run is not None:
        run.spend(1)
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return ("array", *(frozen(inner, run) for inner in value))
    if isinstance(value, dict):
        return frozenset((key, frozen(inner, run)) for key, inner in value.items())
    return value


def never(value: Json, path: Path | None, run: CheckRun, report: bool) -> bool:
    """The check of the schema ``false``: nothing fits."""
    if report:
        run.report(path, "is not allowed")
    return False


def every(fits: Iterable[bool], report: bool) -> bool:
    """Whether all fit; looks at each when problems are reported, else stops at the first that doesn't."""
    if not report:
        return all(fits)
    return not [one for one in fits if not one]


def all_of(checks: list[Check]) -> Check:
    """A check that asks several, all of which must fit."""
    units = 1 + len(checks)

    def check(value: Json, path: Path | None, run: CheckRun, report: bool) -> bool:
        run.spend(units)
        return every((one(value, path, run, report) for one in checks), report)

    return check


def test(applies: type | tuple[type, ...] | None, holds: Callable[[Any, CheckRun], bool], message: str) -> Check:
    """A check of values of one type, which is what ``holds`` is asked about; the others always fit."""

    def check(value: Json, path: Path | None, run: CheckRun, report: bool) -> bool:
        if applies is not None and (not isinstance(value, applies) or (isinstance(value, bool))):
            return True
        if holds(value, run):
            return True
        if report:
            run.report(path, message)
        return False

    return check
