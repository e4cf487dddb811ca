"""``python -m mutants [NAME …]``: takes each guard away in a copy of the project, and runs the test that must notice.

Prints one JSON object a line: each mutant as it is done, and a summary. A mutant is *killed* when its test fails
while the ordinary life of a workload (`LIFE`) still passes: a product that does nothing at all proves nothing. And
the test must pass with no guard taken away. The exit code is 1 unless every mutant was killed.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mutants.catalogue import MUTANTS
from mutants.mutant import Mutant

__all__ = ["LIFE", "main", "run"]

ROOT = Path(__file__).resolve().parents[1]
LIFE = "tests/integration/test_coordinator.py::test_a_workload_runs_and_its_history_says_so"
"""A workload is submitted, assigned, run and completed, on the real engines."""
_TEST_SECONDS = 120
_COPIED = (
    "src",
    "tests",
    "chaos",
    "simulation",
    "fuzz",
    "supply",
    "bench",
    "mutants",
    "examples",
    "scripts",
    "docs",
    "api",
)


@contextmanager
def _copies(count: int) -> Iterator[queue.SimpleQueue[Path]]:
    """Copies of the project, to be changed and thrown away."""
    copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="niyanta-mutants-") as folder:
        for number in range(count):
            root = Path(folder) / str(number)
            for name in _COPIED:
                shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
            for name in ("pyproject.toml", "README.md"):
                shutil.copy(ROOT / name, root / name)
            copies.put(root)
        yield copies


def _outcomes(root: Path, tests: Sequence[str], processes: int = 1) -> dict[str, bool]:
    """Run tests of a copy; gives by file and name whether all cases of each passed.

    Raises:
        RuntimeError: They weren't run at all.
    """
    report = root / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--timeout={_TEST_SECONDS}"]
    if processes > 1:
        command += ["-n", str(processes)]
    python_path = os.pathsep.join([str(root / "src"), str(root)])
    ran = subprocess.run(
        [*command, f"--junitxml={report}", *tests],
        cwd=root,
        env={**os.environ, "PYTHONPATH": python_path, "PYTHONDONTWRITEBYTECODE": "1", "NIYANTA_MODEL_SHRINK": "no"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode not in (0, 1) or not report.exists():
        raise RuntimeError(f"pytest ended with {ran.returncode}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    found: dict[str, bool] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{(case.get('name') or '').partition('[')[0]}"
        passed = not any(case.find(trouble) is not None for trouble in ("failure", "error", "skipped"))
        found[name] = found.get(name, True) and passed
    return found


def _failing(root: Path, tests: Sequence[str], processes: int) -> set[str]:
    """Tests that fail with every guard in place, also when they are alone; or that aren't there."""
    found = _outcomes(root, tests, processes)
    again = [test for test in tests if not found.get(test)]
    return {test for test in again if not _outcomes(root, [test]).get(test)}


def _try(mutant: Mutant, root: Path, failing: set[str], life: str) -> dict[str, Any]:
    """What becomes of one mutant in a copy, which is put in order again."""
    path = mutant.place(root)
    kept = path.read_text(encoding="utf-8")
    began = time.monotonic()
    try:
        mutant.apply(root)
        after = _outcomes(root, [life, mutant.test_id])
    finally:
        path.write_text(kept, encoding="utf-8")
    fails_anyway = mutant.test_id in failing
    return {
        "mutant": mutant.name,
        "promise": mutant.promise,
        "file": str(path.relative_to(root)),
        "test": mutant.test_id,
        "killed": not after[mutant.test_id] and after[life] and not fails_anyway,
        "lives": after[life],
        **({"fails_anyway": True} if fails_anyway else {}),
        "seconds": round(time.monotonic() - began, 1),
    }


def run(mutants: Sequence[Mutant], *, at_once: int = 1, life: str = LIFE) -> Iterator[dict[str, Any]]:
    """What became of each mutant, as JSON has it, in their order. One whose test fails anyway isn't killed by it.

    Args:
        mutants: Which.
        at_once: How many are tried at the same time.
        life: The test that must pass all the same, as it shows that the product does anything at all.

    Raises:
        NoSuchGuardError: A guard isn't there any more.
        RuntimeError: Not even ``life`` passes with every guard in place.
    """
    with _copies(at_once) as copies, ThreadPoolExecutor(at_once) as pool:
        first = copies.get()
        failing = _failing(first, sorted({life, *(mutant.test_id for mutant in mutants)}), at_once)
        copies.put(first)
        if life in failing:
            raise RuntimeError(f"{life} fails with every guard in place")

        def try_somewhere(mutant: Mutant) -> dict[str, Any]:
            root = copies.get()
            try:
                return _try(mutant, root, failing, life)
            finally:
                copies.put(root)

        yield from pool.map(try_somewhere, mutants)


def main() -> int:
    """Run those that were named, or all."""
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    parser = argparse.ArgumentParser(prog="python -m mutants")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(by_name)}; all when none is given")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="how many are tried at a time")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(by_name)):
        parser.error(f"no such mutant: {', '.join(unknown)}")
    chosen = [by_name[name] for name in arguments.names] or list(MUTANTS)
    began = time.monotonic()
    survived = []
    for outcome in run(chosen, at_once=arguments.at_once):
        print(json.dumps(outcome), flush=True)
        if not outcome["killed"]:
            survived.append(outcome["mutant"])
    summary = {"mutants": len(chosen), "killed": len(chosen) - len(survived), "survived": survived}
    print(json.dumps({**summary, "seconds": round(time.monotonic() - began, 1)}))
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
