"""A live workload on a live worker is never restarted: each restart is explained by what struck that very worker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from chaos.history import Fault, History, Move, Trace, Violation

__all__ = ["CHECKS"]

_AGENT_FAULTS = ("kill worker", "freeze worker", "stop worker", "remove worker", "kill launcher")
_ATTEMPT_FAULTS = (*_AGENT_FAULTS, "kill runner")
_HELD_UP_SECONDS = 20.0
"""What is noticed late, as the leader itself had troubles."""


def _explained(history: History) -> Iterator[Violation]:
    faults: dict[str, list[Fault]] = defaultdict(list)
    for fault in history.faults:
        if fault.kind in _ATTEMPT_FAULTS:
            faults[fault.target].append(fault)
        elif fault.target.startswith("broker-w"):
            faults[fault.target.removeprefix("broker-")].append(fault)
    mishaps: dict[str, list[Trace]] = defaultdict(list)
    for trace in history.traces:
        if trace.what == "mishap":
            mishaps[trace.worker_id].append(trace)
    for moves in history.moves_by_workload().values():
        for move in moves:
            if move.event in ("redistributed", "unscheduled", "failed") and not _has_a_cause(
                move, history, faults, mishaps
            ):
                yield Violation("I10", "a restart, or a failure, that nothing on its worker explains", [*moves])


def _has_a_cause(
    move: Move, history: History, faults: dict[str, list[Fault]], mishaps: dict[str, list[Trace]]
) -> bool:
    worker = move.worker_id or ""
    slack = (2 * history.worker_lease_seconds + _HELD_UP_SECONDS) * history.pace
    own = [trace for trace in mishaps[worker] if trace.workload_id == move.workload_id]
    near = [fault for fault in faults[worker] if fault.began - 1 < move.at < fault.ended + slack]
    if move.reason == "attempt_failed" or move.event == "failed":
        struck = [fault for fault in near if fault.kind in _ATTEMPT_FAULTS]
        return bool(struck) or any(trace.attempt == move.attempt for trace in own) or move.reason == "poison"
    # A handler that ends its agent takes along whatever else ran there.
    agent_ended = [t for t in mishaps[worker] if t.mishap in ("kill_agent", "exit_agent")]
    if near or any(trace.at - 1 < move.at < trace.at + slack for trace in agent_ended):
        return True
    if move.reason in ("worker_died", "worker_removed", "timed_out") or "died" in move.reason:
        return False
    # Given back by its worker, refused, or not answered: whatever kept the two from talking may be the reason.
    return any(fault.began - 1 < move.at < fault.ended + slack for fault in history.faults)


CHECKS = (_explained,)
