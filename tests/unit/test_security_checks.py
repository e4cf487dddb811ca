"""The list of security checks is whole, names tests that there are, and its verdicts are honest."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = re.compile(r"(?i)(secret|signature|digest|token_sha256|hash_of|^tag$|_tag$)")


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


security = _script("security")
CHECKS = security.checks((ROOT / "docs" / "security-checks.md").read_text(encoding="utf-8"))


def test_the_list_is_whole() -> None:
    assert [check.number for check in CHECKS] == list(range(1, 41))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"S{check.number}")
def test_each_check_names_tests_that_there_are_or_says_why_not(check: security.Check) -> None:  # type: ignore[name-defined]  # loaded from its file
    assert check.tests or check.missing or check.not_applicable
    for test in check.tests:
        path, _, name = test.partition("::")
        assert re.search(rf"def {name.partition('[')[0]}\(", (ROOT / path).read_text(encoding="utf-8")), test


def page(text: str) -> list[security.Check]:  # type: ignore[name-defined]  # as above
    return list(security.checks(f"# Security checks\n\n### S1 A promise\n\n{text}\n"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("- `tests/a.py::test_one`", "passed"),
        ("- `tests/a.py::test_one`\n- `tests/a.py::test_two[case]`", "passed"),
        ("- `tests/a.py::test_three`", "FAILED"),
        ("- `tests/a.py::test_gone`", "FAILED"),
        ("- `tests/a.py::test_one`\n\nMissing: a part.", "in part"),
        ("Missing: all.", "MISSING"),
        ("Nothing is said.", "MISSING"),
        ("Not applicable: there is no such thing.", "not applicable"),
    ],
)
def test_a_check_has_passed_only_when_all_its_tests_have_and_nothing_is_missing(text: str, word: str) -> None:
    outcomes = {"tests/a.py::test_one": True, "tests/a.py::test_two[case]": True, "tests/a.py::test_three": False}
    (check,) = page(text)
    assert security.verdict(check, outcomes)[0] == word


def _compared(tree: ast.AST) -> list[str]:
    """Comparisons by which something that looks like a secret is told from something else, but for constants."""
    return [
        ast.unparse(entry)
        for entry in ast.walk(tree)
        if isinstance(entry, ast.Compare) and isinstance(entry.ops[0], ast.Eq | ast.NotEq)
        for sides in [(entry.left, *entry.comparators)]
        if not any(isinstance(side, ast.Constant) for side in sides)
        if any(SECRET.search(getattr(side, "id", getattr(side, "attr", ""))) for side in sides)
    ]


def test_secrets_are_compared_in_constant_time() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / "src" / "niyanta" / "server").rglob("*.py"))
        if (lines := _compared(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == {}
    assert _compared(ast.parse("a.token_sha256 == given"))
    assert not _compared(ast.parse("secret == ''"))
    for module in ("services/cursors.py", "fleet/known_tokens.py"):
        assert "compare_digest" in (ROOT / "src" / "niyanta" / "server" / module).read_text(encoding="utf-8")
