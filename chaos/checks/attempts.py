"""What attempts did with their own hands, beside what the service says of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from chaos.history import Call, History, Move, Trace, Violation

__all__ = ["CHECKS"]

_CUT_OFF_SECONDS = 75.0
"""A worker that hears nothing stops what it runs by itself after this long."""
_ENDING_SECONDS = 12.0
"""What ignores SIGTERM is killed by then."""
_MOST_AGENTS_KILLED = 3


def _checkpoints_are_kept(history: History) -> Iterator[Violation]:
    """The next attempt starts from the last acknowledged checkpoint, or from a later one."""
    for attempts in history.traces_by_attempt().values():
        newest: Trace | None = None
        seen_sequences: dict[int, Trace] = {}
        for attempt in sorted(attempts):
            lines = attempts[attempt]
            start = next((line for line in lines if line.what == "start"), None)
            if start is not None and newest is not None and start.step < newest.step:
                yield Violation("I13", "an attempt began before an acknowledged checkpoint", [newest, start])
            for line in lines:
                if line.what != "saved":
                    continue
                if line.sequence in seen_sequences:
                    yield Violation("I13", "a sequence number was given twice", [seen_sequences[line.sequence], line])
                seen_sequences[line.sequence] = line
                if newest is None or line.step > newest.step:
                    newest = line


def _no_overlap(history: History) -> Iterator[Violation]:
    """Attempts of exclusive types never overlap; others end within the bound."""
    moves = history.moves_by_workload()
    for workload_id, attempts in history.traces_by_attempt().items():
        numbers = sorted(attempts)
        for before, after in pairwise(numbers):
            last, first = attempts[before][-1], attempts[after][0]
            if last.exclusive and last.at > first.at:
                circumstance = _circumstance(attempts[before], moves.get(workload_id, []))
                yield Violation("I12", f"two attempts of an exclusive type ran at once{circumstance}", [first, last])
            elif last.at > first.at + (_CUT_OFF_SECONDS + 5) * history.pace:
                yield Violation("I12", "a superseded attempt ran on for too long", [first, last])
        for lines in attempts.values():
            if len({line.pid for line in lines if line.what == "start"}) > 1:
                yield Violation(
                    "I9", "one generation was run twice", [line for line in lines if line.what == "start"]
                )


def _circumstance(lines: list[Trace], moves: list[Move]) -> str:
    """What an overlap went along with, so that different defects aren't taken for one."""
    if len({line.pid for line in lines if line.what == "start"}) > 1:
        return ", the earlier one having been run again"
    left = [move for move in moves if move.attempt == lines[0].attempt and move.event != "scheduled"]
    if any("removed" in move.reason or "removed" in move.error for move in left):
        return ", its worker having been removed"
    if any("never answered" in move.reason for move in left):
        return ", its worker having counted as not answering"
    return ""


def _paused_is_still(history: History) -> Iterator[Violation]:
    """From the moment that PAUSED is stored, the attempt that was paused does nothing."""
    traces = history.traces_by_attempt()
    for workload_id, moves in history.moves_by_workload().items():
        for move in moves:
            if move.event != "paused":
                continue
            late = [t for t in traces[workload_id].get(move.attempt, []) if t.at > move.at + 2 * history.pace]
            if late:
                yield Violation("I15", "a paused workload still had a live process", [move, late[0], late[-1]])


def _cancelled_is_over(history: History) -> Iterator[Violation]:
    """After a cancel its processes are gone, soon where its worker could hear of it, by itself where not."""
    traces = history.traces_by_attempt()
    disturbed = sorted((fault.began, fault.ended) for fault in history.faults)
    for workload_id, moves in history.moves_by_workload().items():
        last = moves[-1]
        if last.event != "cancelled":
            continue
        lines = [line for attempt in traces[workload_id].values() for line in attempt]
        bound = _ENDING_SECONDS * history.pace
        if any(began < last.at + bound and ended > last.at - 15 for began, ended in disturbed):
            bound = (_CUT_OFF_SECONDS + _ENDING_SECONDS) * history.pace
        late = [line for line in lines if line.at > last.at + bound]
        if late:
            yield Violation("I17", "a cancelled workload still had a live process", [last, late[0], late[-1]])


def _resumes_from_there(history: History) -> Iterator[Violation]:
    """An acknowledged pause names a checkpoint no older than any that had been acknowledged."""
    paused: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls:
        if call.operation == "pause" and call.outcome == "ok" and call.sequence is not None and call.workload_id:
            paused[call.workload_id].append(call)
    saved = history.traces_by_attempt()
    for workload_id, calls in paused.items():
        for call in calls:
            lines = [t for a in saved[workload_id].values() for t in a if t.what == "saved" and t.at < call.invoked]
            newest = max(lines, key=lambda line: line.sequence, default=None)
            if newest is not None and newest.sequence > (call.sequence or 0):
                yield Violation("I15", "a pause lost an acknowledged checkpoint", [newest, call])


def _poison_is_bounded(history: History) -> Iterator[Violation]:
    kinds = {row.workload_id: row for row in history.rows if row.mishap == "exit_agent"}
    moves = history.moves_by_workload()
    traces = history.traces_by_attempt()
    for workload_id, row in kinds.items():
        ended = [t for a in traces[workload_id].values() for t in a if t.what == "mishap"]
        if row.status == "COMPLETED":
            yield Violation("I18", "a workload that always ends its agent completed", [row])
        lost = [move for move in moves[workload_id] if move.event in ("unscheduled", "redistributed")]
        # An operator was quicker than the watch for dead workers: that loss isn't the workload's.
        removed = {move.attempt for move in lost if move.reason.endswith(("worker_removed", "was removed"))}
        if sum(trace.attempt not in removed for trace in ended) > _MOST_AGENTS_KILLED:
            unanswered = any("never answered" in move.reason for move in lost)
            how = ", of which some counted as not answering" if unanswered else ""
            yield Violation("I18", f"a workload ended more than three agents{how}", [row, *ended, *lost])


def _progress_rises(history: History) -> Iterator[Violation]:
    by_attempt: dict[tuple[str, int], list[Call]] = defaultdict(list)
    for call in history.calls:
        if call.operation == "get" and call.outcome == "ok" and call.generation and call.workload_id:
            by_attempt[call.workload_id, call.generation].append(call)
    for calls in by_attempt.values():
        calls.sort(key=lambda call: call.version or 0)
        for before, after in pairwise(calls):
            if (after.progress or 0) < (before.progress or 0):
                yield Violation("I30", "progress fell within a generation", [before, after])


def _logs_are_whole(history: History) -> Iterator[Violation]:
    """The log lines of an attempt are there once each, in order, with none missing between two others."""
    for (workload_id, attempt), steps in history.logged.items():
        for before, after in pairwise(steps):
            if after != before + 1:
                shown = {"workload_id": workload_id, "attempt": attempt, "logged": [before, after]}
                yield Violation("I31", "a log line is missing, came twice, or is out of order", [shown])
                break


def _results_are_whole(history: History) -> Iterator[Violation]:
    """What completed has been walked to its end by the attempt whose result counts."""
    traces = history.traces_by_attempt()
    for workload_id, moves in history.moves_by_workload().items():
        last = moves[-1]
        if last.event == "completed" and not any(
            line.what == "stop" for line in traces[workload_id].get(last.attempt, [])
        ):
            yield Violation("I7", "a result was accepted of an attempt that never came to its end", [last])


CHECKS = (
    _checkpoints_are_kept,
    _no_overlap,
    _paused_is_still,
    _cancelled_is_over,
    _resumes_from_there,
    _poison_is_bounded,
    _progress_rises,
    _logs_are_whole,
    _results_are_whole,
)
