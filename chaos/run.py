"""One run: bring a fleet up, let customers and the nemesis loose, heal, wait for the tail, and check the history."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from chaos.checker import check
from chaos.customers import Customers
from chaos.faults import Scene
from chaos.fleet import WORKER_LEASE_SECONDS, Fleet, running_fleet
from chaos.history import History, Violation
from chaos.known import KNOWN
from chaos.nemesis import Nemesis
from chaos.observer import Observer

__all__ = ["Plan", "replay_of", "run"]

_MOST_SHOWN = 20
_TAIL_SECONDS = 300.0
"""After the heal, what was open must have ended by then, however lively it is."""


@dataclass(frozen=True)
class Plan:
    """What a run is made of."""

    seed: int
    minutes: float
    kinds: Sequence[str]
    coordinators: int = 3
    workers: int = 8
    open_each: int = 40
    """Workloads that each customer lets be under way at once."""
    arguments: str = ""
    """What else was given on the command line, for the command that does it again."""
    excuse_known: bool = False
    """Whether a run with no other violations than those of `KNOWN` passes."""


async def run(plan: Plan, folder: Path) -> dict[str, Any]:
    """The report of one run, as JSON has it; ``passed`` says whether every promise held and every class fired."""
    history = History(worker_lease_seconds=WORKER_LEASE_SECONDS, pace=_pace())
    async with running_fleet(folder, plan.coordinators, plan.workers) as fleet, aiohttp.ClientSession() as http:
        customers = Customers(fleet, history, plan.seed, plan.open_each)
        observer = Observer(fleet, history)
        scene = Scene(fleet, customers, http)
        nemesis = Nemesis(scene, history, plan.seed, plan.kinds)
        watching = [asyncio.create_task(observer.watch()), asyncio.create_task(observer.watch_itself())]
        try:
            await customers.start()
            await nemesis.run(plan.minutes * 60)
            history.ended = time.monotonic()
            history.pace = max(history.pace, _pace())
            fleet.heal()
            await customers.finish_calls()
            for part in fleet.workers:
                # A removal whose answer was lost may have come after the undrain that was to end it.
                await scene.operate("POST", f"/workers/{part.name}/undrain")
            late = await _tail(fleet, customers, observer, history)
        finally:
            for each in watching:
                each.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await customers.stop()
        await observer.collect()
    history.write(folder / "history.jsonl")
    return _report(plan, history, nemesis, observer, [*check(history), *late], folder)


def _pace() -> float:
    """How many times slower than idle the machine is; deadlines are stretched by it."""
    return min(8.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


async def _tail(fleet: Fleet, customers: Customers, observer: Observer, history: History) -> list[Violation]:
    """After the faults: everything serves again, and nothing stands still."""
    found: list[Violation] = []
    try:
        await fleet.until_ready(30 * history.pace)
    except TimeoutError:
        found.append(Violation("I20", "a coordinator isn't ready, or a worker isn't registered, after the heal", []))
    found += await _until_drained(observer, history.pace)
    chance = random.Random(0)
    for replica in range(len(fleet.base_urls)):
        for _ in range(3):
            if not await customers.probe(replica, chance, 20 * history.pace):
                found.append(Violation("I20", f"a probe by way of coordinator {replica} didn't succeed", []))
    return found


async def _until_drained(observer: Observer, pace: float) -> list[Violation]:
    """Each workload that should move on by itself does, within 30 s, until none is left."""
    patience = 30 * pace
    since: dict[str, tuple[tuple[str, int, bool], float]] = {}
    healed_at = moved_at = time.monotonic()
    while True:
        still = await observer.open_workloads()
        now = time.monotonic()
        if any(key not in still for key in since) or any(since.get(key, (None,))[0] != still[key] for key in still):
            moved_at = now
        since = {
            key: (state, since[key][1] if key in since and since[key][0] == state else now)
            for key, state in still.items()
        }
        if not still:
            return []
        # Who waits for a slot moves when those before it have moved.
        stuck = [
            {"workload_id": key, "status": state[0], "version": state[1], "seconds": round(now - begun, 1)}
            for key, (state, begun) in since.items()
            if now - begun > patience
            and not state[2]
            and (state[0] in ("SCHEDULED", "RUNNING") or now - moved_at > patience)
        ]
        if now - healed_at > _TAIL_SECONDS * pace:
            left = [{"workload_id": key, "status": state[0], "version": state[1]} for key, state in still.items()]
            return [Violation("I20", "these had not ended long after the heal", left[:_MOST_SHOWN])]
        if stuck:
            return [Violation("I20", "these stood still for too long after the heal", stuck[:_MOST_SHOWN])]
        await asyncio.sleep(0.5)


def replay_of(plan: Plan) -> str:
    """The command that does a run again."""
    arguments = f' CHAOS_ARGS="{plan.arguments}"' if plan.arguments else ""
    return f"make chaos SEED={plan.seed} MINUTES={plan.minutes:g}{arguments}"


def _report(
    plan: Plan,
    history: History,
    nemesis: Nemesis,
    observer: Observer,
    violations: Sequence[Violation],
    folder: Path,
) -> dict[str, Any]:
    fired = Counter(fault.kind for fault in history.faults)
    unfired = sorted(set(plan.kinds) - set(fired))
    known = Counter(KNOWN[each.says] for each in violations if each.says in KNOWN)
    broken = [each for each in violations if each.says not in KNOWN]
    by_promise = Counter(each.promise for each in broken)
    outcomes: dict[str, Counter[str]] = {}
    for call in history.calls:
        outcomes.setdefault(call.operation, Counter())[call.outcome] += 1
    return {
        "passed": not broken and not unfired and (plan.excuse_known or not known),
        "seed": plan.seed,
        "minutes": plan.minutes,
        "replay": replay_of(plan),
        "faults_fired": sum(fired.values()),
        "fired": dict(sorted(fired.items())),
        "never_fired": unfired,
        "drawn_but_impossible": dict(nemesis.missed),
        "workloads": len(history.rows),
        "ended": dict(Counter(row.status for row in history.rows)),
        "moves": dict(Counter(move.event for move in history.moves)),
        "calls": {operation: dict(counts) for operation, counts in outcomes.items()},
        "stream_messages": len(history.seen),
        "side_effects": len(history.traces),
        "snapshots": len(history.samples),
        "pace": round(history.pace, 2),
        "stalls_of_the_harness": [round(length, 1) for _, length in observer.stalls],
        "violated": dict(by_promise),
        "violations": [each.as_json() for each in broken[:_MOST_SHOWN]],
        "known_defects_met": dict(known),
        "known_violations": [each.as_json() for each in violations if each.says in KNOWN][:_MOST_SHOWN],
        "kept_in": str(folder),
    }
