"""A long run in rounds: each with a fleet, a seed and a verdict of its own, so that findings are kept at once."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from chaos.run import Plan, replay_of, run

__all__ = ["merged", "play", "rounds_of"]

_MOST_SHOWN = 20


def rounds_of(plan: Plan, round_minutes: float) -> list[Plan]:
    """The rounds of a run, of equal length; the first has the run's seed, each later one the next.

    Args:
        plan: Of the whole run.
        round_minutes: How long a round may inject faults.
    """
    count = max(1, round(plan.minutes / round_minutes))
    return [replace(plan, seed=plan.seed + number, minutes=plan.minutes / count) for number in range(count)]


def play(plan: Plan, round_minutes: float, results: Path, *, keep: bool) -> dict[str, Any]:
    """Play all rounds; gives the report of the whole, which is also written, after each round, to ``latest.json``.

    Args:
        plan: Of the whole run.
        round_minutes: How long a round may inject faults.
        results: The folder of the reports: one of each round, and of all so far.
        keep: Whether what a round ran with is kept also when all was well.
    """
    results.mkdir(parents=True, exist_ok=True)
    reports: list[dict[str, Any]] = []
    began = time.monotonic()
    for each in rounds_of(plan, round_minutes):
        folder = Path(tempfile.mkdtemp(prefix="niyanta-chaos-"))
        report = _play_one(each, folder)
        reports.append(report)
        _write(results / f"seed-{each.seed}.json", report)
        whole = merged(plan, reports) | {"took_seconds": round(time.monotonic() - began)}
        _write(results / "latest.json", whole)
        if not report["violations"] and not report["known_violations"] and "broke" not in report and not keep:
            shutil.rmtree(folder, ignore_errors=True)
    return whole


def _play_one(plan: Plan, folder: Path) -> dict[str, Any]:
    try:
        return uvloop.run(run(plan, folder))
    except Exception:
        # What becomes of the other rounds is worth knowing all the same.
        return {
            "passed": False,
            "seed": plan.seed,
            "minutes": plan.minutes,
            "replay": replay_of(plan),
            "broke": traceback.format_exc(),
            "violations": [],
            "known_violations": [],
            "kept_in": str(folder),
        }


def _write(path: Path, report: dict[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(report, indent=2) + "\n")
    fresh.replace(path)


def merged(plan: Plan, reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The report of a run from those of its rounds. A class must have fired in one of them at least."""
    if len(reports) == 1 and reports[0]["seed"] == plan.seed and reports[0]["minutes"] == plan.minutes:
        return reports[0]
    fired = _sum(reports, "fired")
    unfired = sorted(set(plan.kinds) - set(fired))
    calls: dict[str, Counter[str]] = {}
    for report in reports:
        for operation, counts in report.get("calls", {}).items():
            calls.setdefault(operation, Counter()).update(counts)
    broke = [report["replay"] for report in reports if "broke" in report]
    known = _sum(reports, "known_defects_met")
    violated = _sum(reports, "violated")
    return {
        "passed": not (violated or broke or unfired) and (plan.excuse_known or not known),
        "seed": plan.seed,
        "minutes": plan.minutes,
        "replay": replay_of(plan),
        "rounds": [_in_short(report) for report in reports],
        "rounds_that_broke": broke,
        "faults_fired": sum(fired.values()),
        "fired": fired,
        "never_fired": unfired,
        "drawn_but_impossible": _sum(reports, "drawn_but_impossible"),
        "workloads": sum(report.get("workloads", 0) for report in reports),
        "ended": _sum(reports, "ended"),
        "moves": _sum(reports, "moves"),
        "calls": {operation: dict(counts) for operation, counts in calls.items()},
        "stream_messages": sum(report.get("stream_messages", 0) for report in reports),
        "side_effects": sum(report.get("side_effects", 0) for report in reports),
        "snapshots": sum(report.get("snapshots", 0) for report in reports),
        "pace": max((report.get("pace", 1.0) for report in reports), default=1.0),
        "stalls_of_the_harness": [each for report in reports for each in report.get("stalls_of_the_harness", [])],
        "violated": violated,
        "violations": [each for report in reports for each in report["violations"]][:_MOST_SHOWN],
        "known_defects_met": known,
        "known_violations": [each for report in reports for each in report["known_violations"]][:_MOST_SHOWN],
    }


def _sum(reports: Sequence[dict[str, Any]], name: str) -> dict[str, int]:
    """Counts of all rounds together, in order of their names."""
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(report.get(name, {}))
    return dict(sorted(counts.items()))


def _in_short(report: dict[str, Any]) -> dict[str, Any]:
    """A round's line in the report of the whole."""
    names = (
        "seed",
        "replay",
        "passed",
        "faults_fired",
        "workloads",
        "violated",
        "known_defects_met",
        "broke",
        "kept_in",
    )
    return {name: report[name] for name in names if name in report}
