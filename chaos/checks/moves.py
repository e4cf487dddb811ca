"""Each workload's stored history is a path in the table of states, numbered without gaps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from chaos.history import History, Move, Violation
from niyanta.domain.transitions import TRANSITIONS
from niyanta.domain.workload import TERMINAL

__all__ = ["CHECKS"]

_LEGAL = {
    (row.event.value.removeprefix("workload."), row.source.value if row.source else None, row.target.value)
    for row in TRANSITIONS
} | {("checkpoint_created", "RUNNING", "RUNNING")}
_TERMINAL = {status.value for status in TERMINAL}


def _paths(history: History) -> Iterator[Violation]:
    for moves in history.moves_by_workload().values():
        if moves[0].event_id != 1 or moves[0].event != "created":
            yield Violation("I5", "a history doesn't begin with the creation", [moves[0]])
        for move in moves:
            if (move.event, move.source, move.target) not in _LEGAL:
                yield Violation("I5", "a move that the table of states doesn't have", [move])
        for before, after in pairwise(moves):
            yield from _step(before, after)


def _step(before: Move, after: Move) -> Iterator[Violation]:
    if after.event_id != before.event_id + 1:
        yield Violation("I5", "the numbers of a history have a gap, or one came twice", [before, after])
    if after.version <= before.version:
        yield Violation("I5", "versions don't rise in the order of the history", [before, after])
    if after.source != before.target:
        yield Violation("I5", "a move doesn't begin where the one before it ended", [before, after])
    if before.target in _TERMINAL:
        yield Violation("I6", "something moved a workload that had ended", [before, after])
    if after.attempt - before.attempt != (1 if after.event == "scheduled" else 0):
        yield Violation("I9", "a generation was left out, or given twice", [before, after])
    rise = after.sequence - before.sequence
    if after.event == "checkpoint_created" and rise != 1 and after.sequence:
        yield Violation("I13", "checkpoints aren't numbered one by one", [before, after])
    if after.event != "checkpoint_created" and rise != 0:
        yield Violation("I13", "a checkpoint appeared or went without its event", [before, after])


def _rows_agree(history: History) -> Iterator[Violation]:
    moves = history.moves_by_workload()
    for row in history.rows:
        if row.workload_id not in moves:
            yield Violation("I5", "a workload without a history", [row])
            continue
        last = moves[row.workload_id][-1]
        if last.target != row.status or last.event_id != row.event_count or last.attempt != row.generation:
            yield Violation("I5", "a workload isn't where its history ends", [last, row])
        if row.version < last.version or (row.status in _TERMINAL and row.version != last.version):
            yield Violation("I6", "a version went on after the end, or back", [last, row])
    stored = {row.workload_id for row in history.rows}
    for workload_id, found in moves.items():
        if workload_id not in stored:
            yield Violation("I1", "a history without its workload", [found[0]])


CHECKS = (_paths, _rows_agree)
