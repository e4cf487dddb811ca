"""Bounds that people meet stand in one module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "src"
LIMITS = "niyanta/domain/limits.py"
GENERATED = ("niyanta/wire/v1/", "niyanta/client/synchronous.py")

ELSEWHERE: dict[tuple[str, str], str] = {
    (
        "niyanta/wire/frames.py",
        "MAX_MESSAGE_BYTES",
    ): "a broker's own; its maker meets it",
    ("niyanta/server/store/failures.py", "MOST_ROWS"): "of one query's work; tested",
    ("niyanta/server/store/workloads.py", "MOST_INPUT_BYTES"): "of one query's answer; tested",
    ("niyanta/wire/serving.py", "MOST_AT_ONCE"): "of a process's own memory; tested",
    ("niyanta/wire/serving.py", "MOST_FRAMED_BYTES"): "of a process's own memory; tested",
    ("niyanta/worker/launcher/channel.py", "MOST_DESCRIPTORS"): "of a message between a worker's own processes",
    ("niyanta/worker/outbox.py", "MOST_LINES"): "of the worker's own memory while the broker is away; tested",
    ("niyanta/worker/outbox.py", "MOST_LINE_BYTES_OF_ALL"): "of the worker's own memory; tested",
    ("niyanta/wire/strict_json.py", "_MAX_INT"): "of a signed integer of 64 bits",
    ("niyanta/wire/strict_json.py", "_MIN_INT"): "of a signed integer of 64 bits",
}
"""Bounds by their name that stand elsewhere, with the reason."""

DECLARED_ELSEWHERE: dict[str, str] = {
    "niyanta/cli/demo.py": "a program for one machine",
    "niyanta/cli/dev.py": "a program for one machine; numbers of TCP ports",
    "niyanta/examples/hello.py": "an example is read by itself",
    "niyanta/examples/images/parameters.py": "an example is read by itself",
    "niyanta/examples/reports/parameters.py": "an example is read by itself",
    "niyanta/examples/video/parameters.py": "an example is read by itself",
}
"""Modules that declare numbers of their own, with the reason."""

DECLARING = {"Integer", "Meta", "Text", "IntRange"}
"""What tells the outside of a bound."""


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = str(path.relative_to(SOURCE))
        if not name.startswith(GENERATED) and name != LIMITS:
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def _bounds(tree: ast.Module) -> Iterator[str]:
    """Names of a module's own that say a bound."""
    for entry in tree.body:
        targets = entry.targets if isinstance(entry, ast.Assign) else []
        if isinstance(entry, ast.AnnAssign):
            targets = [entry.target]
        for target in targets:
            for inner in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(inner, ast.Name) and re.match(r"_?(MAX|MIN)_|(MOST|LEAST|LONGEST)_", inner.id):
                    yield inner.id


def _declared(tree: ast.Module) -> Iterator[str]:
    """Numbers beyond 1 that are given, as they are, to what tells the outside of a bound."""
    for entry in ast.walk(tree):
        if isinstance(entry, ast.Call) and ast.unparse(entry.func).rpartition(".")[2] in DECLARING:
            for given in (*entry.args, *(keyword.value for keyword in entry.keywords)):
                numbers = {n.value for n in ast.walk(given) if isinstance(n, ast.Constant) and type(n.value) is int}
                if not isinstance(given, ast.Name) and any(number > 1 for number in numbers):
                    yield f"{entry.lineno}: {ast.unparse(entry)}"


def test_bounds_stand_with_the_others() -> None:
    found = {(name, bound) for name, tree in _modules() for bound in _bounds(tree)}
    assert sorted(found - set(ELSEWHERE)) == [], f"move it to {LIMITS}, or call it _MOST_… when nobody meets it"
    assert sorted(set(ELSEWHERE) - found) == [], "no longer there"


def test_what_is_declared_is_taken_from_there() -> None:
    found = [(name, line) for name, tree in _modules() for line in _declared(tree)]
    assert [(name, line) for name, line in found if name not in DECLARED_ELSEWHERE] == []
    assert sorted(set(DECLARED_ELSEWHERE) - {name for name, _ in found}) == [], "no longer there"


@pytest.mark.parametrize("line", ["MAX_BODY = 1", "_MAX_BODY: int = 1", "MOST_LINES = 5", "MIN_A, b = 1, 2"])
def test_a_bound_is_found(line: str) -> None:
    assert len(list(_bounds(ast.parse(line)))) == 1


@pytest.mark.parametrize("line", ["Meta(le=100)", "Integer('limit', 'Page.', 1, 1000)", "click.IntRange(1, 1 << 20)"])
def test_a_number_that_is_declared_is_found(line: str) -> None:
    assert len(list(_declared(ast.parse(line)))) == 1
