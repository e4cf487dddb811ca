"""Many cases of what changes nothing, on one system."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeAlias

import pytest

__all__ = ["cases"]

_Test: TypeAlias = Callable[..., Coroutine[Any, Any, None]]


def cases(names: str | tuple[str, ...], values: Iterable[Any]) -> Callable[[_Test], _Test]:
    """As ``pytest.mark.parametrize``, but all cases have the test's fixtures in common.

    For requests that are refused, or that only read: a system of its own for each takes a hundred times longer than
    the request. Each case is a subtest: whichever fail, all are run, and each failure is reported with its case.

    Args:
        names: Of the test's parameters; one name, or several in a tuple.
        values: For each case a value, or a tuple of as many values as there are names.
    """
    listed = list(values)

    def decorated(test: _Test) -> _Test:
        @functools.wraps(test)
        async def run(subtests: pytest.Subtests, **fixtures: Any) -> None:
            assert listed
            for value in listed:
                case = {names: value} if isinstance(names, str) else dict(zip(names, value, strict=True))
                with subtests.test(**case):
                    await test(**fixtures, **case)

        signature = inspect.signature(test)
        own = [parameter for name, parameter in signature.parameters.items() if name not in _tuple(names)]
        assert len(own) + len(_tuple(names)) == len(signature.parameters), "the test takes each of the names"
        asked = inspect.Parameter("subtests", inspect.Parameter.KEYWORD_ONLY)
        run.__signature__ = signature.replace(parameters=[*own, asked])  # type: ignore[attr-defined]
        return run

    return decorated


def _tuple(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names
