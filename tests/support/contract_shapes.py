"""Whether an answer has the shape of the contract's example."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

__all__ = ["assert_shape"]

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

NULL_WHEN_UNKNOWN = {"estimated_start_time", "estimated_completion_time"}
"""Real estimates: null when there is nothing to estimate from."""

FREE = {"input_params", "result_data", "config_json", "details", "tags"}
"""Objects whose keys the contract leaves to their authors."""


def assert_shape(example: Any, found: Any, place: str = "", *, free: Collection[str] = frozenset(FREE)) -> None:
    """Every key of the example is there, with a value of the same kind. More keys are allowed.

    A null in the example says that the field may be null, so it has to be there and may hold anything. A list's
    elements all have the shape of the example's first.
    """
    if example is None:
        return
    if found is None:
        assert place.rpartition(".")[2] in NULL_WHEN_UNKNOWN, f"{place} is null"
    elif isinstance(example, dict):
        assert isinstance(found, dict), place
        if place.rpartition(".")[2] in free:
            return
        assert set(example) <= set(found), f"{place} has no {sorted(set(example) - set(found))}"
        for key, value in example.items():
            assert_shape(value, found[key], f"{place}.{key}", free=free)
    elif isinstance(example, list):
        assert isinstance(found, list), place
        assert found or not example, f"{place} is empty"
        for number, value in enumerate(found):
            assert_shape(example[0] if example else None, value, f"{place}[{number}]", free=free)
    elif isinstance(example, bool):
        assert isinstance(found, bool), place
    elif isinstance(example, int | float):
        assert isinstance(found, int | float), place
        assert not isinstance(found, bool), place
        assert isinstance(example, float) or isinstance(found, int), f"{place} is no whole number: {found!r}"
    else:
        assert isinstance(found, str), place
        if _MOMENT.fullmatch(example):
            assert _MOMENT.fullmatch(found), f"{place} is no UTC time: {found!r}"
