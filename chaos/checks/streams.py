"""What a watcher is told: in order, nothing left out, the end last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from chaos.history import History, Move, Seen, Violation

__all__ = ["CHECKS"]

_TERMINAL = ("COMPLETED", "FAILED", "CANCELLED")


def _streams(history: History) -> dict[int, list[Seen]]:
    found: dict[int, list[Seen]] = defaultdict(list)
    for seen in history.seen:
        if seen.type != "log_line":
            found[seen.stream].append(seen)
    return found


def _in_order(history: History) -> Iterator[Violation]:
    moves = history.moves_by_workload()
    for stream in _streams(history).values():
        for before, after in pairwise(stream):
            if (after.version or 0) <= (before.version or 0):
                yield Violation("I28", "versions don't rise in a stream", [before, after])
            if before.status in _TERMINAL:
                yield Violation("I28", "something came after the terminal message", [before, after])
        yield from _nothing_skipped(stream, moves.get(stream[0].workload_id, []))


def _nothing_skipped(stream: list[Seen], moves: list[Move]) -> Iterator[Violation]:
    told = {seen.version: seen for seen in stream}
    first, last = stream[0].version or 0, stream[-1].version or 0
    for move in moves:
        if move.event == "checkpoint_created" or not first < move.version <= last:
            continue
        seen = told.get(move.version)
        if seen is None:
            yield Violation("I28", "a stream left a change of status out", [move, stream[0], stream[-1]])
        elif seen.status != move.target:
            yield Violation("I28", "a stream tells another status than the history", [move, seen])


def _never_back(history: History) -> Iterator[Violation]:
    """A stream that was opened after another had shown a version doesn't begin before it."""
    by_workload: dict[str, list[list[Seen]]] = defaultdict(list)
    for stream in _streams(history).values():
        by_workload[stream[0].workload_id].append(stream)
    for streams in by_workload.values():
        everything = [seen for stream in streams for seen in stream]
        for stream in streams:
            earlier = [seen for seen in everything if seen.at < stream[0].opened]
            newest = max(earlier, key=lambda seen: seen.version or 0, default=None)
            if newest is not None and (stream[0].version or 0) < (newest.version or 0):
                yield Violation("I28", "a stream that was opened later begins earlier", [newest, stream[0]])


CHECKS = (_in_order, _never_back)
