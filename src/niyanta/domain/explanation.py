"""Why a workload waits: each reason with its code, a sentence, the numbers behind it, and what would take it away.

This is the one place that says so. What ``pending_reason`` says is the first reason's summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from niyanta.domain.placement import Affinity, WorkerView, choose, is_misfit

__all__ = [
    "Reason",
    "ReasonCode",
    "back_off_reason",
    "counted",
    "leader_reason",
    "limit_reason",
    "placement_reason",
    "smallest_change",
    "suspension_reason",
    "turn_reason",
]


class ReasonCode(StrEnum):
    """What kind of reason it is."""

    BACKING_OFF = "backing_off"
    """A failed attempt's back-off, or the end of an assignment that was taken back."""
    CUSTOMER_SUSPENDED = "customer_suspended"
    TYPE_NOT_SERVED = "type_not_served"
    """No live worker serves its type."""
    INPUT_NOT_SERVED = "input_not_served"
    """Those that do serve another version of it."""
    NO_WORKER_MATCHES = "no_worker_matches"
    """Its affinity rules leave none."""
    AVOIDED_TYPE_RUNS = "avoided_type_runs"
    """Each matching worker with a free slot runs what its anti-affinity avoids."""
    WORKERS_FULL = "workers_full"
    LIMIT_REACHED = "limit_reached"
    """The customer's own, of what runs at a time."""
    NO_LEADER = "no_leader"
    """Nobody assigns at the moment."""
    BEHIND_OTHERS = "behind_others"
    """The customer's own workloads go before it."""
    ITS_TURN = "its_turn"
    """Nothing is in its way: the next pass of the scheduler."""
    STARTING = "starting"
    """A worker has been given it."""
    RUNNING = "running"
    PAUSING = "pausing"
    """It runs until its next checkpoint."""
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Reason:
    """One of the reasons."""

    code: ReasonCode
    summary: str
    """A short sentence."""
    message: str
    """The same with its numbers."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """The numbers; a JSON object."""
    change: str | None = None
    """The least that would take it away; None where nothing has to be done but wait."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 worker``, ``2 workers``."""
    return f"{number} {one}" if number == 1 else f"{number} {many or one + 's'}"


def back_off_reason(left_seconds: float, retry_count: int, error: str | None, *, taken_back: bool) -> Reason:
    """It waits for a time.

    Args:
        left_seconds: Until it is over; 0 when that is due.
        retry_count: Attempts after the first so far.
        error: Why the attempt before failed, if that is known.
        taken_back: The assignment was taken back from a worker, which may not have stopped it yet.
    """
    summary = (
        "waiting until the worker that it was taken back from has surely stopped it"
        if taken_back
        else "waiting for the back-off after a failed attempt to end"
    )
    left = round(max(0.0, left_seconds), 1)
    details: dict[str, Any] = {"seconds_left": left, "retry_count": retry_count}
    if error is not None:
        details["last_error"] = error
    return Reason(ReasonCode.BACKING_OFF, summary, f"{summary}: {left:g} s are left", details)


def suspension_reason() -> Reason:
    """Its customer may start nothing."""
    summary = "the customer is suspended"
    return Reason(
        ReasonCode.CUSTOMER_SUSPENDED, summary, summary, change="an operator makes the customer active again"
    )


def limit_reason(running: int, limit: int) -> Reason | None:
    """The customer runs as much as it may; None when it doesn't."""
    if running < limit:
        return None
    summary = f"{running} of {limit} concurrent workloads are running"
    change = "one running workload of the customer ends" if limit else "an operator lets the customer run something"
    return Reason(
        ReasonCode.LIMIT_REACHED,
        summary,
        f"the customer's limit: {summary}",
        {"running": running, "limit": limit},
        change,
    )


def leader_reason(*, held: bool, seconds: float) -> Reason | None:
    """Nobody leads; None when somebody does.

    Args:
        held: Whether the lease runs.
        seconds: Since it ran out.
    """
    if held:
        return None
    summary = "held because no coordinator leads"
    since = round(max(0.0, seconds), 1)
    return Reason(
        ReasonCode.NO_LEADER,
        summary,
        f"{summary} since {since:g} s",
        {"seconds": since},
        "a coordinator takes the lead",
    )


def turn_reason(ahead: int, *, is_bounded: bool) -> Reason:
    """Its place among the customer's own, behind ``ahead`` of them, or with ``is_bounded`` so many or more."""
    if ahead <= 0:
        summary = "waiting for its turn"
        return Reason(ReasonCode.ITS_TURN, summary, f"{summary}: nothing of the customer's goes before it")
    before = f"{ahead:,} or more workloads" if is_bounded else counted(ahead, "workload")
    message = f"waiting for its turn: {before} of the customer's go before it"
    those = "all" if is_bounded else f"the {ahead}"
    change = f"{those} before it start, or its priority is raised above theirs"
    return Reason(
        ReasonCode.BEHIND_OTHERS,
        "waiting for its turn",
        message,
        {"ahead": ahead, "is_bounded": is_bounded},
        "the one before it starts, or its priority is raised above that one's" if ahead == 1 else change,
    )


def smallest_change(reasons: Sequence[Reason]) -> str | None:
    """What would start it: all that has to change, the reasons' order; None when it only has to wait."""
    return " and ".join(reason.change for reason in reasons if reason.change is not None) or None


@dataclass(slots=True)
class _Survey:
    """What stands between a workload and each worker that serves its type: the first thing that does."""

    serving: int = 0
    draining: int = 0
    lacking: Counter[str] = field(default_factory=Counter)
    """By what its hard affinity asks for and they lack."""
    unmatched: int = 0
    """Lack any of that."""
    avoided: int = 0
    """Have what its anti-affinity avoids."""
    misfit: int = 0
    """Match, but serve the type in a form that its input doesn't fit."""
    fitting: list[WorkerView] = field(default_factory=list)

    def count(self, worker: WorkerView, workload_type: str, affinity: Affinity) -> None:
        if workload_type not in worker.types:
            return
        self.serving += 1
        if worker.draining:
            self.draining += 1
        elif lacks := list(_lacks(worker, affinity)):
            self.unmatched += 1
            self.lacking.update(lacks)
        elif _is_avoided(worker, affinity):
            self.avoided += 1
        elif is_misfit(worker, workload_type, affinity):
            self.misfit += 1
        else:
            self.fitting.append(worker)


def _lacks(worker: WorkerView, affinity: Affinity) -> Iterable[str]:
    hard = affinity.hard
    if hard.worker_id is not None and worker.worker_id != hard.worker_id:
        yield f"the id {hard.worker_id}"
    for key, value in sorted(hard.worker_tags.items()):
        if worker.tags.get(key) != value:
            yield f"tag {key}={value}"
    for served in hard.workload_types:
        if served not in worker.types:
            yield f"type {served}"


def _is_avoided(worker: WorkerView, affinity: Affinity) -> bool:
    anti = affinity.anti
    return worker.worker_id == anti.worker_id or any(
        worker.tags.get(key) == value for key, value in anti.worker_tags.items()
    )


def placement_reason(workers: Iterable[WorkerView], workload_type: str, affinity: Affinity) -> Reason | None:
    """Why no worker can take it now, with how many lack what; None when one can."""
    found = _Survey()
    for worker in workers:
        found.count(worker, workload_type, affinity)
    if choose(found.fitting, affinity) is not None:
        return None
    full = sum(not worker.free for worker in found.fitting)
    details: dict[str, Any] = {
        "workers_serving": found.serving,
        "draining": found.draining,
        "other_version": found.misfit,
        "unmatched": found.unmatched,
        "lacking": dict(found.lacking),
        "avoided": found.avoided,
        "matching": len(found.fitting),
        "full": full,
        "slots": sum(worker.capacity for worker in found.fitting),
    }
    code, summary, change = _judged(found, full, workload_type, affinity)
    message = summary if not found.serving else f"{summary}: {_told(found, full, workload_type)}"
    return Reason(code, summary, message, details, change)


def _judged(found: _Survey, full: int, workload_type: str, affinity: Affinity) -> tuple[ReasonCode, str, str]:
    """Its code, its summary, and what would take it away."""
    wanted = _wanted(workload_type, affinity)
    if found.serving == found.draining:
        return ReasonCode.TYPE_NOT_SERVED, f"no live worker serves workload type '{workload_type}'", f"one {wanted}"
    if found.fitting:
        if full < len(found.fitting):
            avoided = " or ".join(f"'{kind}'" for kind in affinity.anti.workload_types)
            summary = "every matching worker runs a workload type that its anti-affinity avoids"
            return ReasonCode.AVOIDED_TYPE_RUNS, summary, f"one {wanted} that runs no {avoided}"
        return ReasonCode.WORKERS_FULL, "every matching worker is full", f"one slot on a {wanted}"
    if found.misfit:
        summary = (
            f"its input doesn't fit the version of '{workload_type}' that live workers serve; "
            "it starts when a worker with a version that it fits comes"
        )
        return ReasonCode.INPUT_NOT_SERVED, summary, f"one {wanted} in a version that its input fits"
    summary = "no live worker matches its affinity rules: it needs " + _needed(affinity)
    return ReasonCode.NO_WORKER_MATCHES, summary, f"one {wanted}"


def _needed(affinity: Affinity) -> str:
    hard, anti = affinity.hard, affinity.anti
    wants: list[str] = []
    if hard.worker_id is not None:
        wants.append(f"worker '{hard.worker_id}'")
    if hard.worker_tags:
        wants.append("tags " + ", ".join(f"{key}={value}" for key, value in sorted(hard.worker_tags.items())))
    if hard.workload_types:
        wants.append("a worker that serves " + ", ".join(hard.workload_types))
    if not anti.is_empty:
        wants.append("a worker outside its anti-affinity")
    return " and ".join(wants)


def _wanted(workload_type: str, affinity: Affinity) -> str:
    """The worker that would do."""
    hard = affinity.hard
    name = "worker" if hard.worker_id is None else f"worker '{hard.worker_id}'"
    types = dict.fromkeys((workload_type, *hard.workload_types))
    tags = ", ".join(f"{key}={value}" for key, value in sorted(hard.worker_tags.items()))
    found = f"{name} with {tags}" if tags else name
    found += " that serves " + " and ".join(f"'{kind}'" for kind in types)
    away = replace(affinity.anti, workload_types=())
    return found if away.is_empty else found + ", outside its anti-affinity"


def _told(found: _Survey, full: int, workload_type: str) -> str:
    parts = [counted(found.serving, "worker serves", "workers serve") + f" '{workload_type}'"]
    if found.draining:
        parts.append(counted(found.draining, "is draining", "are draining"))
    if found.misfit:
        parts.append(counted(found.misfit, "serves another version of it", "serve another version of it"))
    parts += [counted(count, "lacks", "lack") + f" {what}" for what, count in sorted(found.lacking.items())]
    if found.avoided:
        parts.append(f"its anti-affinity avoids {found.avoided}")
    if full:
        parts.append(counted(full, "is full", "are full"))
    if busy := len(found.fitting) - full:
        parts.append(counted(busy, "runs", "run") + " what it avoids")
    return ", ".join(parts)
