"""Words that steer are types: nobody compares with their text."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
GENERATED = ("niyanta/wire/v1/", "niyanta/client/synchronous.py")

HOMES = (
    "niyanta.domain.customers",
    "niyanta.domain.limits",
    "niyanta.domain.records",
    "niyanta.domain.workers",
    "niyanta.domain.workload",
    "niyanta.server.services.moving",
    "niyanta.server.store.pools",
    "niyanta.server.watching.watched",
    "niyanta.wire.messages",
    "niyanta.worker.handlers.link",
    "niyanta.worker.launcher.over",
)
"""Modules with the types of such words."""

OTHER_MEANINGS: dict[tuple[str, str], str] = {
    ("niyanta/cli/output.py", "status"): "a key of an answer",
    ("niyanta/server/store/listing.py", "status"): "a column",
    ("niyanta/worker/handlers/command.py", "log"): "what a program says over its pipe (docs/commands.md)",
    ("niyanta/worker/launcher/cgroups.py", "memory"): "a controller of the kernel's",
    ("niyanta/worker/launcher/launcher.py", "memory"): "a controller of the kernel's",
    ("niyanta/worker/box/probe.py", "memory"): "a controller of the kernel's",
}
"""Where such a text is compared and means something else."""


def _words() -> set[str]:
    return {
        word.value
        for home in HOMES
        for kind in vars(importlib.import_module(home)).values()
        if isinstance(kind, type) and issubclass(kind, StrEnum) and kind.__module__ == home
        for word in kind
    }


def _texts(entry: ast.expr) -> Iterator[str]:
    if isinstance(entry, ast.Constant) and isinstance(entry.value, str):
        yield entry.value
    elif isinstance(entry, ast.Tuple | ast.List | ast.Set):
        for inner in entry.elts:
            yield from _texts(inner)


def _compared(tree: ast.AST) -> Iterator[str]:
    """Texts that something is compared with."""
    for entry in ast.walk(tree):
        if isinstance(entry, ast.Compare):
            for side in (entry.left, *entry.comparators):
                yield from _texts(side)
        elif isinstance(entry, ast.MatchValue):
            yield from _texts(entry.value)


def test_what_steers_is_compared_as_a_type() -> None:
    words = _words()
    found = {
        (str(path.relative_to(SOURCE)), text)
        for path in SOURCE.rglob("*.py")
        if not str(path.relative_to(SOURCE)).startswith(GENERATED)
        for text in _compared(ast.parse(path.read_text(encoding="utf-8")))
        if text in words
    }
    assert sorted(found - set(OTHER_MEANINGS)) == [], "compare with the member of its type"
    assert sorted(set(OTHER_MEANINGS) - found) == [], "no longer there"


@pytest.mark.parametrize(
    "line", ['x == "DEAD"', 'x in ("a", "DEAD")', '"DEAD" != x', 'match x:\n    case "DEAD":\n        pass']
)
def test_a_comparison_with_a_text_is_found(line: str) -> None:
    assert "DEAD" in set(_compared(ast.parse(line)))


def test_every_kind_of_steering_word_is_there() -> None:
    steering = {"inline", "DRAINING", "suspended", "admin", "coordinator", "vital", "fenced", "memory", "drain"}
    assert steering <= _words()
