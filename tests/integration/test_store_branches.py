"""The store against a model while several replicas, workers and leaders act at once, on real PostgreSQL.

From a state that Hypothesis has led to, two or three branches run together on connections of their own, each
statement delayed as it was drawn. Some order of what they did, one after another, must explain every answer and every
row; otherwise an update was lost, a fence was passed, a limit was exceeded or a key used twice.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import precondition, rule

from niyanta.domain import transitions
from niyanta.domain.transitions import IllegalMoveError, Status, WorkloadState
from niyanta.errors import ConflictError, ServiceUnavailableError
from niyanta.server.directory import Directory
from niyanta.server.fleet.intake import EventIntake
from niyanta.server.fleet.reading import Batch
from niyanta.server.moves.held_up import HeldUp
from niyanta.server.moves.mover import LeaderFencedError, Mover
from niyanta.server.observability.metrics import Metrics
from niyanta.server.services.submission import Submission, SubmissionService, _Request
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.database import Database
from niyanta.server.store.lease import LeaseStore
from niyanta.server.store.states import Change
from niyanta.server.store.submissions import KeyName, NewWorkload
from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire.messages import AttemptRef, Event
from support.store_branches import Operation, Trial, orders_that_explain, run_branches
from support.store_machine import BODIES, NOW, VERBS, WHO, Feed, StoreMachine, Surroundings, new_workload, play

MOST_QUEUED = 6
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
        (reply,) = await intake._commit([Batch(self.worker, f"inc-{self.worker}", [self.event])])
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
    most: int
    worker: str
    epoch: int

    def _move(self, state: WorkloadState, now: datetime, percent: int) -> transitions.Move:
        return transitions.schedule(state, now, WHO, self.worker, f"inc-{self.worker}", percent)

    async def run(self, database: Database) -> Any:
        store = WorkloadStore()
        try:
            async with database.connection("vital") as conn:
                lane = (self.customer_id, 1)
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
        expected = {w for w, version in asked.items() if current and trial.states[w].version == version}
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
        return Trial(trial.states, trial.saved_percent, answer, trial.keys)


@dataclass(frozen=True)
class Submit:
    """A customer submits by way of a replica, mostly with a key that others use, too."""

    new: NewWorkload
    key: str
    body: bytes

    async def run(self, database: Database) -> Any:
        directory: Any = SimpleNamespace(known_customer=lambda _: SimpleNamespace(max_queue_depth=MOST_QUEUED))
        estimator: Any = None
        service = SubmissionService(database, HeldUp(database), FEED, directory, estimator, outcome_wait_seconds=1)
        name = KeyName(self.new.customer_id, "submit", self.key) if self.key else None
        request = _Request(self.new.customer_id, [self.new], name, hashlib.sha256(self.body).digest(), 1)
        try:
            (answer,) = await service._commit([request])
        except ServiceUnavailableError:
            return NOT_NOW
        if isinstance(answer, Exception):
            return "conflict" if isinstance(answer, ConflictError) else NOT_NOW
        (outcome,) = answer.outcomes
        if not isinstance(outcome, Submission):
            return "full"
        return "replayed" if answer.replayed else "created", outcome.workload_id

    def explain(self, trial: Trial, answer: Any) -> Trial | None:
        if answer == NOT_NOW:
            return trial
        digest = hashlib.sha256(self.body).digest()
        if self.key in trial.keys:
            body, workload_id = trial.keys[self.key]
            return trial if answer == (("replayed", workload_id) if body == digest else "conflict") else None
        queued = sum(state.status.is_queued for state in trial.states.values())
        if answer != ("full" if queued >= MOST_QUEUED else ("created", self.new.workload_id)):
            return None
        if answer == "full":
            return trial
        begun = WorkloadState(self.new.customer_id, self.new.workload_id, "t", Status.PENDING, placement_key=1)
        keys = {**trial.keys, self.key: (digest, self.new.workload_id)} if self.key else trial.keys
        return Trial({**trial.states, self.new.workload_id: begun}, trial.saved_percent, trial.epoch, keys)


class BranchingMachine(StoreMachine):
    """As `StoreMachine`, and now and then several things at once."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self.keys: dict[str, tuple[bytes, str]] = {}

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
        return Assign(self.customer_id, draw(st.integers(1, 3)), draw(st.sampled_from(["w1", "w2"])), epoch)

    def _elect(self, draw: Draw) -> Operation:
        return Elect()

    def _submit(self, draw: Draw) -> Operation:
        self.newest += 1
        new = new_workload(self.customer_id, self.newest)
        return Submit(new, draw(st.sampled_from(["", "k1", "k1", "k2"])), draw(st.sampled_from([b"a", b"a", b"b"])))

    @precondition(lambda self: 1 < len(self.model) < 12)
    @rule(data=st.data(), count=st.integers(2, 3))
    def at_once(self, data: st.DataObject, count: int) -> None:
        makers = (self._report, self._report, self._report, self._ask, self._assign, self._elect, self._submit)
        numbers = st.lists(st.integers(0, len(makers) - 1), min_size=1, max_size=3)
        branches = [[makers[number](data.draw) for number in data.draw(numbers)] for _ in range(count)]
        delays = [data.draw(st.lists(st.integers(0, 6), min_size=3, max_size=6)) for _ in range(count)]
        answers = self.around.run(run_branches(self.around.database, branches, delays))
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
        raise AssertionError(f"no order explains {done}\nfrom {before}\nto {rows}\nbut {seen or 'nothing'}")

    async def _rows(self) -> Any:
        async with self.around.database.connection() as conn:
            return await conn.fetch("SELECT * FROM workloads WHERE customer_id = $1", self.customer_id)


def test_what_happens_at_once_is_as_if_one_after_another(database_url: str) -> None:
    play(database_url, BranchingMachine, examples=8)
