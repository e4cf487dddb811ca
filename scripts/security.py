"""Runs the tests that ``docs/security-checks.md`` names, and prints what became of each check.

A check has passed when all its tests have, and nothing of it is missing. One that doesn't apply says why. The exit
code is 1 unless every check has passed or doesn't apply.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "security-checks.md"
_HEADING = re.compile(r"^### S(\d+) (.+)$", re.MULTILINE)
_TEST = re.compile(r"^- `(tests/[\w/]+\.py::\w+(?:\[[^\]`]+\])?)`$", re.MULTILINE)
_SECONDS = 1800


@dataclass(frozen=True)
class Check:
    """One promise, as the page has it."""

    number: int
    title: str
    tests: tuple[str, ...]
    """Ids of pytest's."""
    missing: str
    """What isn't there; empty when nothing is missing."""
    not_applicable: str
    """Why it can't be attacked here; empty when it can."""


def checks(page: str) -> list[Check]:
    """The checks of the page, in its order."""
    _, *parts = _HEADING.split(page)
    return [
        Check(
            int(number),
            title,
            tuple(_TEST.findall(text)),
            _said(text, "Missing"),
            _said(text, "Not applicable"),
        )
        for number, title, text in zip(parts[0::3], parts[1::3], parts[2::3], strict=True)
    ]


def _said(text: str, word: str) -> str:
    found = re.search(rf"^{word}: (.+)$", text, re.MULTILINE)
    return found[1] if found else ""


def verdict(check: Check, outcomes: Mapping[str, bool]) -> tuple[str, str]:
    """What became of a check: a word, and why when it hasn't passed."""
    if check.not_applicable:
        return "not applicable", check.not_applicable
    if not check.tests:
        return "MISSING", check.missing or "no test attacks it"
    if failed := [test for test in check.tests if not outcomes.get(test)]:
        return "FAILED", ", ".join(failed)
    if check.missing:
        return "in part", check.missing
    return "passed", ""


def run(tests: Sequence[str], processes: str) -> dict[str, bool]:
    """Whether each of some tests passed, all its cases together; one that wasn't run is missing."""
    with tempfile.TemporaryDirectory(prefix="niyanta-security-") as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            processes,
            "--dist",
            "worksteal",
            f"--junitxml={report}",
        ]
        subprocess.run([*command, *tests], cwd=ROOT, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL)
        cases = list(ElementTree.parse(report).iter("testcase")) if report.is_file() else []
    found: dict[str, bool] = {}
    for case in cases:
        whole = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name') or ''}"
        passed = not any(case.find(trouble) is not None for trouble in ("failure", "error", "skipped"))
        for name in {whole, whole.partition("[")[0]}:
            found[name] = found.get(name, True) and passed
    return found


def main() -> int:
    """Run all, and print what became of each."""
    listed = checks(PAGE.read_text(encoding="utf-8"))
    tests = sorted({test for check in listed for test in check.tests})
    outcomes = run(tests, os.environ.get("TEST_PROCESSES", "4"))
    counts: dict[str, int] = {}
    print()
    for check in listed:
        word, why = verdict(check, outcomes)
        counts[word] = counts.get(word, 0) + 1
        print(f"S{check.number:<3} {word:14} {check.title}")
        for test in check.tests:
            print(f"       {'passed' if outcomes.get(test) else 'FAILED'}  {test}")
        if why:
            print(f"       {why}")
    print("\n" + ", ".join(f"{count} {word}" for word, count in sorted(counts.items())))
    return 0 if set(counts) <= {"passed", "not applicable"} else 1


if __name__ == "__main__":
    sys.exit(main())
