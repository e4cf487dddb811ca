"""The store against a model while several replicas, workers and leaders act at once, on real PostgreSQL.

From a state that Hypothesis has led to, two or three branches run together on connections of their own, each
statement delayed as it was drawn. Some order of what they did, one after another, must explain every answer and every
row; otherwise an update was lost, a fence was passed, a limit was exceeded or a key used twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import precondition, rule

from niyanta.domain import transitions
from niyanta.domain.customers import Role
from niyanta.domain.transitions import IllegalMoveError
from niyanta.domain.workload import Move, Status, WorkloadState
from niyanta.errors import ConflictError, ServiceUnavailableError
from niyanta.server.directory import Directory, Intake
from niyanta.server.fleet.intake import EventIntake
from niyanta.server.fleet.reading import Batch
from niyanta.server.leader.shortcut import Shortcut
from niyanta.server.moves.held_up import HeldUp
from niyanta.server.moves.mover import LeaderFencedError, Mover
from niyanta.server.observability.metrics import Metrics
from niyanta.server.services.checking import placement_key
from niyanta.server.services.requests import SubmitRequest
from niyanta.server.services.submission import SubmissionService
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.clock import DatabaseClock
from niyanta.server.store.customers import Identity
from niyanta.server.store.database import Database, Pool
from niyanta.server.store.lease import LeaseStore
from niyanta.server.store.states import Change
from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire.messages import AttemptRef, Event
from support.store_branches import Operation, Trial, orders_that_explain, run_branches
from support.store_machine import BODIES, NOW, VERBS, WHO, Feed, StoreMachine, Surroundings, play

MOST_QUEUED = 6
LANES = (1, placement_key("t", None))
"""Of the machine's own submissions, and of those by way of the service."""
NOT_NOW = "not now"
"""An answer that says that nothing was done: a lock or a conflict was in the way for too long."""
SETTINGS = CoordinatorSettings.from_environment({}, database_url="postgresql://unused", nats_url="nats://unused")
FEED: Any = Feed()
Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True)
class Report:
    """A worker reports one event, to a replica of its own."""

    machine: BranchingMachine
    worker: str
    event: Event

    async def run(self, database: Database) -> Any:
        customers: Any = None
        intake = EventIntake(
            Mover(database, FEED), HeldUp(database), FEED, Directory(database, customers, FEED), SETTINGS, Metrics()
        )
        (reply,) = await intake.commit([Batch(self.worker, f"inc-{self.worker}", [self.event])])
        assert not isinstance(reply, Exception), reply
        return str(reply.replies[0].outcome) if reply.ok else NOT_NOW

    def explain(self, trial: Trial, answer: Any) -> Trial | None:
        if answer == NOT_NOW:
            return trial
        new, outcome = self.machine.expect(trial.states[self.event.ref.workload_id], self.worker, self.event)
        return trial.with_state(new) if outcome == answer else None


@dataclass(frozen=True)
class Ask:
    """A customer or the monitor asks for a move; the monitor under an epoch."""

    customer_id: str
    workload_id: str
    verb: str
    epoch: int | None

    async def run(self, database: Database) -> Any:
        def decide(changes: Any) -> None:
            for change in changes.values():
                change.then(VERBS[self.verb](change.state, change.before.now))

        try:
            await Mover(database, FEED).move([(self.customer_id, self.workload_id)], decide, epoch=self.epoch)
        except IllegalMoveError:
            return "illegal"
        except LeaderFencedError:
            return "fenced"
        except ServiceUnavailableError:
            return NOT_NOW
        return "moved"

    def explain(self, trial: Trial, answer: Any) -> Trial | None:
        if answer == NOT_NOW:
            return trial
        old = trial.states[self.workload_id]
        try:
            new = VERBS[self.verb](old, NOW).state
        except IllegalMoveError:
            return trial if answer == "illegal" else None
        is_fenced = self.epoch is not None and self.epoch != trial.epoch and new is not old
        if answer != ("fenced" if is_fenced else "moved"):
            return None
        return trial if is_fenced else trial.with_state(new)


@dataclass(frozen=True)
class Assign:
    """A leader reads the heads of the lane and assigns them."""

    customer_id: str
    lane: int
    most: int
    worker: str
    epoch: int

    def _move(self, state: WorkloadState, now: datetime, percent: int) -> Move:
        return transitions.schedule(state, now, WHO, self.worker, f"inc-{self.worker}", percent)

    async def run(self, database: Database) -> Any:
        store = WorkloadStore()
        try:
            async with database.connection(Pool.VITAL) as conn:
                lane = (self.customer_id, self.lane)
                heads = (await store.heads(conn, [(*lane, self.most)])).get(lane, [])
                changes = [Change.begin(head.locked) for head in heads]
                for change, head in zip(changes, heads, strict=True):
                    change.then(self._move(change.state, head.locked.now, head.checkpoint_percent))
                written = await store.apply(conn, changes, epoch=self.epoch)
        except ServiceUnavailableError:
            return NOT_NOW
        asked = {change.state.workload_id: change.before.state.version for change in changes}
        return asked, {workload_id for _, workload_id in written}

    def explain(self, trial: Trial, answer: Any) -> Trial | None:
        if answer == NOT_NOW:
            return trial
        asked, written = answer
        current = self.epoch == trial.epoch
        versions = {workload_id: state.version for workload_id, state in trial.states.items()}
        expected = {w for w, version in asked.items() if current and versions.get(w) == version}
        if written != expected:
            return None
        for workload_id in written:
            old = trial.states[workload_id]
            trial = trial.with_state(self._move(old, NOW, trial.saved_percent.get(workload_id, 0)).state)
        return trial


@dataclass(frozen=True)
class Elect:
    """Another leader begins."""

    async def run(self, database: Database) -> Any:
        async with database.transaction() as conn:
            await conn.execute("UPDATE leader_lease SET expires_at = '-infinity'")
            return await LeaseStore().take(conn, "c2", 60)

    def explain(self, trial: Trial, answer: Any) -> Trial | None:
        if answer != trial.epoch + 1:
            return None
        return replace(trial, epoch=answer)


@dataclass(frozen=True)
class Submit:
    """A customer submits by way of a replica, mostly with a key that others use, too."""

    customer_id: str
    key: str
    number: int
    """Makes the body another."""

    async def run(self, database: Database) -> Any:
        surroundings: Any = Knows()
        service = SubmissionService(
            database,
            HeldUp(database),
            FEED,
            surroundings,
            surroundings,
            Shortcut(surroundings, surroundings, surroundings, surroundings),
            outcome_wait_seconds=1,
        )
        identity = Identity(self.customer_id, "k", Role.CUSTOMER)
        request = SubmitRequest("t", {"n": self.number})
        serving = asyncio.create_task(service.run())
        try:
            found = await service.submit(identity, request, self.key or None)
        except ConflictError:
            return "conflict"
        except ServiceUnavailableError as exc:
            return "full" if "max_queue_depth" in exc.details else NOT_NOW
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        return "replayed" if found.replayed else "created", found.workload_id

    def explain(self, trial: Trial, answer: Any) -> Trial | None:
        if answer == NOT_NOW:
            return trial
        if self.key in trial.keys:
            number, workload_id = trial.keys[self.key]
            return trial if answer == (("replayed", workload_id) if number == self.number else "conflict") else None
        queued = sum(state.status.is_queued for state in trial.states.values())
        if queued >= MOST_QUEUED or answer[0] != "created":
            return trial if answer == "full" and queued >= MOST_QUEUED else None
        begun = WorkloadState(self.customer_id, answer[1], "t", Status.PENDING, placement_key=LANES[1])
        keys = {**trial.keys, self.key: (self.number, answer[1])} if self.key else trial.keys
        return replace(trial, states={**trial.states, answer[1]: begun}, keys=keys)


class Knows:
    """As much of a directory and an estimator as a submission asks for, on a replica that doesn't lead."""

    coordinator_id = "c"
    epoch = None
    clock = DatabaseClock()

    def known_customer(self, customer_id: str) -> Any:
        return SimpleNamespace(max_queue_depth=MOST_QUEUED)

    async def supported(self, customer_id: str) -> dict[str, Intake]:
        return {"t": Intake({"": ()})}

    def is_placeable(self, *what: Any) -> bool:
        return True

    async def know(self, customer_id: str) -> None:
        return None

    def start_of_submission(self, *what: Any) -> None:
        return None


class BranchingMachine(StoreMachine):
    """As `StoreMachine`, and now and then several things at once."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self.keys: dict[str, tuple[int, str]] = {}

    def _report(self, draw: Draw) -> Operation:
        old = self.pick(draw(st.integers(0, 7)))
        worker = draw(st.sampled_from([old.worker_id or "w1"] * 5 + ["w1", "w2"]))
        ref = AttemptRef(self.customer_id, old.workload_id, old.generation + draw(st.sampled_from([0] * 6 + [-1, 1])))
        sequence = max(1, old.event_sequence + draw(st.sampled_from([1, 1, 1, 2, 3, 0])))
        return Report(self, worker, Event(ref, sequence, time.time_ns() // 1_000_000, draw(BODIES)))

    def _ask(self, draw: Draw) -> Operation:
        epoch = draw(st.sampled_from([None, None, self.epochs[-1], self.epochs[0]]))
        verb = draw(st.sampled_from(sorted(VERBS)))
        return Ask(self.customer_id, self.pick(draw(st.integers(0, 7))).workload_id, verb, epoch)

    def _assign(self, draw: Draw) -> Operation:
        epoch = draw(st.sampled_from([self.epochs[-1]] * 4 + [self.epochs[-1] + 1, self.epochs[0]]))
        lane, worker = draw(st.sampled_from(LANES)), draw(st.sampled_from(["w1", "w2"]))
        return Assign(self.customer_id, lane, draw(st.integers(1, 3)), worker, epoch)

    def _elect(self, draw: Draw) -> Operation:
        return Elect()

    def _submit(self, draw: Draw) -> Operation:
        return Submit(self.customer_id, draw(st.sampled_from(["", "k1", "k1", "k2"])), draw(st.integers(0, 1)))

    @precondition(lambda self: 1 < len(self.model) < 12)
    @rule(data=st.data(), count=st.integers(2, 3))
    def at_once(self, data: st.DataObject, count: int) -> None:
        makers = (self._report, self._report, self._report, self._ask, self._assign, self._elect, self._submit)
        numbers = st.lists(st.integers(0, len(makers) - 1), min_size=1, max_size=3)
        branches = [[makers[number](data.draw) for number in data.draw(numbers)] for _ in range(count)]
        delays = [data.draw(st.lists(st.integers(0, 6), min_size=3, max_size=6)) for _ in branches]
        try:
            answers = self.around.run(run_branches(self.around.database, branches, delays))
        except BaseExceptionGroup:
            print("these at once:", branches)  # it may not come to this again
            raise
        done = [list(zip(*each, strict=True)) for each in zip(branches, answers, strict=True)]
        before = Trial(self.model, self.saved_percent, self.epochs[-1], self.keys)
        rows = self.around.run(self._rows())
        seen = set()
        for trial in orders_that_explain(before, done):
            seen.add(str(trial.states))
            self.model, self.saved_percent, self.keys = dict(trial.states), dict(trial.saved_percent), trial.keys
            self.epochs += range(self.epochs[-1] + 1, trial.epoch + 1)
            try:
                self.check_rows(rows)
            except AssertionError:
                continue
            return  # the invariant looks at history, counters and hours
        said = f"no order explains {done}\nfrom {before}\nto {[dict(row) for row in rows]}\nbut {seen or 'nothing'}"
        print(said)
        raise AssertionError(said)

    async def _rows(self) -> Any:
        async with self.around.database.connection() as conn:
            return await conn.fetch("SELECT * FROM workloads WHERE customer_id = $1", self.customer_id)


def test_what_happens_at_once_is_as_if_one_after_another(database_url: str) -> None:
    play(database_url, BranchingMachine, examples=8, at_once=True)
