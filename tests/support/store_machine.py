"""A machine of Hypothesis over the store and a model of it: the database must say what the table of moves says.

Hypothesis submits, assigns, reports, cancels, pauses, resumes and loses, also late, twice, from the wrong worker and
by a leader whose time is over. After each step the rows, the history, the counters and the hours must fit the model.
``NIYANTA_MODEL_EXAMPLES`` asks for more runs than the few that every test run makes, each different.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import hypothesis.strategies as st
import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from niyanta.domain import changes, transitions
from niyanta.domain.ids import make_id
from niyanta.domain.limits import DEFAULT_CONFIG
from niyanta.domain.transitions import TRANSITIONS, IllegalMoveError
from niyanta.domain.workload import Actor, ActorType, EventType, Move, PausePhase, Status, WorkloadState
from niyanta.server.directory import Directory
from niyanta.server.fleet.intake import EventIntake
from niyanta.server.fleet.reading import Batch
from niyanta.server.moves.held_up import HeldUp
from niyanta.server.moves.mover import Mover
from niyanta.server.observability.metrics import Metrics
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from niyanta.server.store.lease import LeaseStore
from niyanta.server.store.states import Change
from niyanta.server.store.submissions import NewWorkload, SubmissionStore
from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire import messages
from niyanta.wire.messages import AttemptRef, Event
from support.store_rows import add_customer

__all__ = ["BODIES", "NOW", "VERBS", "WHO", "Feed", "StoreMachine", "Surroundings", "new_workload", "play"]

_EXAMPLES = int(os.environ.get("NIYANTA_MODEL_EXAMPLES", "0"))
_SHRINK = os.environ.get("NIYANTA_MODEL_SHRINK", "") != "no"
_LEGAL = {(row.event.value, row.source and row.source.value, row.target.value) for row in TRANSITIONS}
_LEGAL.add((EventType.CHECKPOINT_CREATED.value, "RUNNING", "RUNNING"))
WHO = Actor(ActorType.WORKER, "w1")
NOW = datetime(2025, 1, 1, tzinfo=UTC)
_COMPARED = [
    name
    for name in WorkloadState.__dataclass_fields__
    if not name.endswith("_at") and name not in ("customer_id", "workload_type", "result_json", "error_message")
]
_TIMES = ("available_at", "scheduled_at", "started_at", "attempt_started_at", "paused_at", "completed_at")

BODIES = st.sampled_from(
    [
        messages.Started(),
        messages.Progressed(30, "some"),
        messages.Progressed(70),
        messages.CheckpointSaved(b"{}", hashlib.sha256(b"{}").digest()),
        messages.Completed(b'{"a": 1}'),
        messages.Completed(b"[]"),
        messages.Failed("broken"),
        messages.Failed("broken for good", permanent=True),
        messages.Paused(),
        messages.Released("draining"),
        messages.Refused("full"),
        messages.Refused("another version", "f1"),
        messages.Refused("another version", "f2", hopeless=True),
        messages.LogLine("INFO", "hello", {}),
    ]
)

VERBS: dict[str, Callable[[WorkloadState, datetime], Move]] = {
    "cancel": lambda s, now: transitions.cancel(s, now, WHO, "enough"),
    "resume": lambda s, now: transitions.resume(s, now, WHO),
    "request_pause": lambda s, _: changes.request_pause(s),
    "withdraw_pause": lambda s, _: changes.withdraw_pause(s),
    "lose": lambda s, now: transitions.lose_worker(s, now, WHO, "removed", died=False),
    "die": lambda s, now: transitions.lose_worker(s, now, WHO, "silent", died=True),
}
"""What customers and the monitor ask for."""


class Feed:
    """Takes announcements, and forgets them."""

    listeners: ClassVar[list[object]] = []

    def announce(self, *_: object, **__: object) -> None:
        return None

    def moved(self, *_: object) -> None:
        return None


@dataclass
class Surroundings:
    """What all runs share: one database, one event loop."""

    run: Callable[[Coroutine[Any, Any, Any]], Any]
    database: Database
    intake: EventIntake


def new_workload(customer_id: str, rank: int) -> NewWorkload:
    """A submission, of the one lane that there is."""
    return NewWorkload(
        customer_id=customer_id,
        workload_id=make_id("wl_", time.time_ns() // 1_000_000, secrets.randbits(80)),
        workload_type="t",
        priority=10,
        input_json="{}",
        affinity_json=None,
        timeout_seconds=None,
        placement_key=1,
        queue_rank=rank,
        created_at=datetime.now(UTC),
        actor_id="k",
    )


class StoreMachine(RuleBasedStateMachine):
    """One customer's few workloads."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__()
        self.around = around
        self.store = WorkloadStore()
        self.submissions = SubmissionStore()
        self.customer_id = f"cust_{secrets.token_hex(8)}"
        self.model: dict[str, WorkloadState] = {}
        self.saved_percent: dict[str, int] = {}
        """The progress that each workload's newest checkpoint was saved at."""
        self.newest = 0
        self.epochs: list[int] = []

    @initialize()
    def begin(self) -> None:
        async def create() -> None:
            async with self.around.database.connection() as conn:
                await add_customer(conn, self.customer_id)

        self.around.run(create())
        self.new_leader()
        self.submit(2)

    def pick(self, number: int) -> WorkloadState:
        return self.model[sorted(self.model)[number % len(self.model)]]

    @precondition(lambda self: len(self.model) < 8)
    @rule(count=st.integers(1, 3))
    def submit(self, count: int) -> None:
        batch: list[NewWorkload] = []
        for _ in range(count):
            self.newest += 1
            batch.append(new_workload(self.customer_id, self.newest))
            workload_id = batch[-1].workload_id
            self.model[workload_id] = WorkloadState(
                self.customer_id, workload_id, "t", Status.PENDING, placement_key=1
            )

        async def insert() -> None:
            async with self.around.database.transaction() as conn:
                await self.submissions.admit(conn, [self.customer_id])
                await self.submissions.insert_batch(conn, batch, {self.customer_id: 1_000_000})

        self.around.run(insert())

    @rule()
    def new_leader(self) -> None:
        async def take() -> int:
            async with self.around.database.connection() as conn:
                await conn.execute("UPDATE leader_lease SET expires_at = '-infinity'")
                epoch = await LeaseStore().take(conn, "c1", 60)
            assert epoch is not None
            return epoch

        self.epochs.append(self.around.run(take()))
        assert self.epochs == sorted(set(self.epochs))

    @rule(most=st.integers(1, 3), worker=st.sampled_from(["w1", "w2"]), old_leader=st.booleans())
    def assign(self, most: int, worker: str, old_leader: bool) -> None:
        epoch = self.epochs[0] if old_leader else self.epochs[-1]

        def schedule(state: WorkloadState, now: datetime, saved_percent: int) -> Move:
            return transitions.schedule(state, now, WHO, worker, f"inc-{worker}", saved_percent)

        async def write() -> tuple[list[str], set[str]]:
            async with self.around.database.connection() as conn:
                heads = (await self.store.heads(conn, [(self.customer_id, 1, most)])).get((self.customer_id, 1), [])
                changes = [Change.begin(head.locked) for head in heads]
                for change, head in zip(changes, heads, strict=True):
                    change.then(schedule(change.state, head.locked.now, head.checkpoint_percent))
                written = await self.store.apply(conn, changes, epoch=epoch)
            return [c.state.workload_id for c in changes], {ref[1] for ref in written}

        asked, written = self.around.run(write())
        ready = {s.workload_id for s in self.model.values() if s.ready and s.placement_key == 1}
        assert set(asked) <= ready
        assert len(asked) == min(most, len(ready))
        assert written == (set(asked) if epoch == self.epochs[-1] else set())
        for workload_id in written:
            old = self.model[workload_id]
            self.model[workload_id] = schedule(old, NOW, self.saved_percent.get(workload_id, 0)).state

    @rule(
        number=st.integers(0, 7),
        body=BODIES,
        behind=st.sampled_from([0, 0, 0, 0, 0, 0, 1]),
        step=st.sampled_from([1, 1, 1, 1, 1, 1, 0, -1, 3]),
        stranger=st.sampled_from([False] * 7 + [True]),
    )
    def report(self, number: int, body: Any, behind: int, step: int, stranger: bool) -> None:
        """An event: mostly as it should be, at times of an older generation, seen before, or of the wrong worker."""
        old = self.pick(number)
        worker = old.worker_id or "w1"
        if stranger:
            worker = "w2" if worker == "w1" else "w1"
        ref = AttemptRef(self.customer_id, old.workload_id, old.generation - behind)
        event = Event(ref, max(1, old.event_sequence + step), time.time_ns() // 1_000_000, body)
        for _ in range(2):  # and once more, as when the answer was lost
            self.send(worker, event)

    def send(self, worker: str, event: Event) -> None:
        old = self.model[event.ref.workload_id]
        new, outcome = self.expect(old, worker, event)
        batch = Batch(worker, f"inc-{worker}", [event])
        (reply,) = self.around.run(self.around.intake.commit([batch]))
        assert reply.ok, reply
        assert reply.replies[0].outcome == outcome, (event, old)
        self.model[old.workload_id] = new
        if new.checkpoint_sequence > old.checkpoint_sequence:
            self.saved_percent[old.workload_id] = old.progress_percent

    def expect(self, old: WorkloadState, worker: str, event: Event) -> tuple[WorkloadState, str]:
        """What a report must do, from the rules of the protocol."""
        if event.ref.generation != old.generation:
            return old, "fenced"
        if event.sequence <= old.event_sequence:
            return old, "applied"
        if old.incarnation != f"inc-{worker}":
            return old, "fenced"
        try:
            new = self.moved(old, event.body)
        except IllegalMoveError:
            new = old
        return replace(new, event_sequence=event.sequence), "applied"

    def moved(self, old: WorkloadState, body: Any) -> WorkloadState:
        match body:
            case messages.Started():
                return transitions.start(old, NOW, WHO).state
            case messages.Progressed():
                running = old.status is Status.RUNNING
                return changes.report_progress(old, body.percent, body.message).state if running else old
            case messages.CheckpointSaved():
                return changes.record_checkpoint(old, NOW, WHO).state
            case messages.Completed(b"[]"):
                return transitions.fail(old, NOW, WHO, "not an object", "permanent").state
            case messages.Completed():
                return transitions.complete(old, NOW, WHO, "{}").state
            case messages.Failed():
                return transitions.fail_attempt(
                    old,
                    NOW,
                    WHO,
                    "broken",
                    permanent=body.permanent,
                    timed_out=False,
                    max_retries=DEFAULT_CONFIG.max_retries,
                    backoff_seconds=1,
                ).state
            case messages.Paused() if old.pause_phase is PausePhase.GRANTED:
                return transitions.pause(old, NOW, WHO).state
            case messages.Paused() | messages.Released():
                return transitions.release(old, NOW, WHO, "released").state
            case messages.Refused(misfit="f1"):
                return transitions.refuse(old, NOW, WHO, "refused", "f1").state
            case messages.Refused(misfit="f2"):
                return transitions.fail(old, NOW, WHO, "refused", "permanent").state
            case messages.Refused():
                return transitions.unschedule(old, NOW, WHO, "refused").state
        return old

    @rule(
        number=st.integers(0, 7),
        verb=st.sampled_from([*VERBS, "resume", "request_pause"]),
    )
    def ask(self, number: int, verb: str) -> None:
        """What customers and the monitor ask for, possible at the moment or not."""
        old = self.pick(number)
        try:
            expected = VERBS[verb](old, NOW).state
        except IllegalMoveError:
            expected = old

        async def write() -> None:
            key = (self.customer_id, old.workload_id)
            async with self.around.database.transaction() as conn:
                change = Change.begin((await self.store.lock(conn, [key]))[key])
                try:
                    change.then(VERBS[verb](change.state, change.before.now))
                except IllegalMoveError:
                    return
                assert len(await self.store.apply(conn, [change])) == (not change.is_empty)

        self.around.run(write())
        self.model[old.workload_id] = expected

    @rule(number=st.integers(0, 7))
    def write_on_an_old_version(self, number: int) -> None:
        """A decision that was made on a state that has changed since writes nothing, not even a counter."""
        old = self.pick(number)

        async def write() -> bool:
            key = (self.customer_id, old.workload_id)
            async with self.around.database.connection() as conn:
                change = Change.begin((await self.store.states(conn, [key]))[key])
                before = change.before
                older = replace(before.state, version=before.state.version - 1)
                change.before = msgspec.structs.replace(before, state=older)
                try:
                    change.then(transitions.cancel(change.state, change.before.now, WHO, None))
                except IllegalMoveError:
                    return False
                return bool(await self.store.apply(conn, [change]))

        assert not self.around.run(write())

    @rule()
    def back_offs_end(self) -> None:
        async def promote() -> None:
            async with self.around.database.connection() as conn:
                await conn.execute(
                    "UPDATE workloads SET available_at = now() WHERE customer_id = $1 AND available_at IS NOT NULL",
                    self.customer_id,
                )
                await self.store.promote(conn, 100)

        self.around.run(promote())
        for workload_id, state in self.model.items():
            if state.available_at is not None and state.status is Status.REDISTRIBUTING:
                self.model[workload_id] = replace(state, ready=True, available_at=None)

    @invariant()
    def the_database_says_the_same(self) -> None:
        if self.model:
            self.around.run(self.check())

    async def check(self) -> None:
        async with self.around.database.connection() as conn:
            rows = await conn.fetch("SELECT * FROM workloads WHERE customer_id = $1", self.customer_id)
            history = await conn.fetch(
                "SELECT * FROM audit_events WHERE customer_id = $1 ORDER BY workload_id, event_id", self.customer_id
            )
            usage = await conn.fetchrow("SELECT * FROM customer_usage WHERE customer_id = $1", self.customer_id)
            hours = await conn.fetchrow(
                """SELECT sum(created) AS created, sum(completed) AS completed, sum(failed) AS failed,
                          sum(cancelled) AS cancelled, sum(execution_seconds) AS execution_seconds,
                          sum(completed_seconds) AS completed_seconds, sum(used_seconds) AS used_seconds,
                          sum(redone_seconds) AS redone_seconds, sum(lost_seconds) AS lost_seconds
                     FROM workload_hours WHERE customer_id = $1""",
                self.customer_id,
            )
        self.check_rows(rows)
        self.check_history(history)
        statuses = Counter(row["status"] for row in rows)
        assert usage["queued"] == statuses["PENDING"] + statuses["REDISTRIBUTING"]
        assert usage["running"] == statuses["SCHEDULED"] + statuses["RUNNING"]
        assert usage["assigned"] == sum(row["generation"] for row in rows)
        assert hours["created"] == len(rows)
        for name in ("completed", "failed", "cancelled"):
            assert hours[name] == statuses[name.upper()]
        ran = [r for r in rows if r["completed_at"] and r["started_at"]]
        seconds = {r["workload_id"]: (r["completed_at"] - r["started_at"]).total_seconds() for r in ran}
        assert abs(hours["execution_seconds"] - sum(seconds.values())) < 1e-3
        done = sum(seconds[r["workload_id"]] for r in ran if r["status"] == "COMPLETED")
        assert abs(hours["completed_seconds"] - done) < 1e-3
        wasted = hours["redone_seconds"] + hours["lost_seconds"]
        assert -1e-3 < wasted < hours["used_seconds"] + 1e-3

    def check_rows(self, rows: Sequence[Any]) -> None:
        assert {row["workload_id"] for row in rows} == set(self.model)
        for row in rows:
            state = self.model[row["workload_id"]]
            for name in _COMPARED:
                assert row[name] == getattr(state, name), f"{name} of {state}"
            for name in _TIMES:
                assert (row[name] is None) == (getattr(state, name) is None), f"{name} of {state}"
            resting = row["progress_percent"] if row["incarnation"] is None else None
            assert row["resting_progress"] == resting

    def check_history(self, history: Sequence[Any]) -> None:
        """Legal, without gaps, each move beginning where the last one ended."""
        ends: dict[str, tuple[int, str | None, int]] = {}
        for event in history:
            details = json.loads(event["details"])
            number, status, attempt = ends.get(event["workload_id"], (0, None, 0))
            assert event["event_id"] == number + 1
            assert details["from"] == status
            assert (event["event_type"], details["from"], details["to"]) in _LEGAL
            assert details["attempt"] == attempt + (event["event_type"] == "workload.scheduled")
            ends[event["workload_id"]] = (event["event_id"], details["to"], details["attempt"])
        for workload_id, state in self.model.items():
            assert ends[workload_id] == (state.event_count, state.status.value, state.generation)


def play(
    database_url: str, make: Callable[[Surroundings], RuleBasedStateMachine], examples: int, *, at_once: bool = False
) -> None:
    """Run a machine as a test, so many examples unless ``NIYANTA_MODEL_EXAMPLES`` says otherwise.

    Args:
        database_url: Of a database of the test's own.
        make: The machine.
        examples: How many.
        at_once: Whether what it does can't be repeated, as several things happen at once.
    """
    coordinator = CoordinatorSettings.from_environment({}, database_url=database_url, nats_url="nats://unused")
    with asyncio.Runner() as runner:
        database = runner.run(Database.open(database_url))
        try:
            feed: Any = Feed()
            directory = Directory(database, CustomerStore(database), feed)
            intake = EventIntake(Mover(database, feed), HeldUp(database), feed, directory, coordinator, Metrics())
            around = Surroundings(runner.run, database, intake)
            run_state_machine_as_test(
                lambda: make(around),  # type: ignore[arg-type] # called for a machine, no more
                settings=settings(
                    max_examples=_EXAMPLES or examples,
                    stateful_step_count=50,
                    deadline=None,
                    database=None,
                    derandomize=not _EXAMPLES,
                    # What happens at once happens otherwise when it is repeated, so it can't be made smaller.
                    phases=list(Phase) if _SHRINK and not at_once else [Phase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(database.close())
