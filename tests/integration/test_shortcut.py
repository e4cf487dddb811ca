"""Submissions that are assigned in the transaction that stores them: real PostgreSQL and NATS, scripted workers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import asyncpg
import pytest

from niyanta.domain import transitions
from niyanta.domain.limits import DEFAULT_CONFIG
from niyanta.domain.workload import Actor, ActorType
from niyanta.server.leader import board
from niyanta.server.moves.commands import Commands
from niyanta.server.services.checking import placement_key
from niyanta.server.store.database import Database
from niyanta.server.store.states import Change, Locked
from niyanta.server.store.submissions import Assigning, NewWorkload, SubmissionStore
from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire import messages
from support.scripted_worker import ScriptedWorker
from support.store_machine import new_workload
from support.store_rows import add_customer, whole
from support.system import System, beating, running_system

_WRITTEN = """
SELECT (SELECT count(DISTINCT xmin::text) FROM audit_events WHERE workload_id = $1 AND event_id <= 2) = 1
   AND (SELECT max(occurred_at) FROM audit_events WHERE workload_id = $1 AND event_id = 2) = w.scheduled_at
  FROM workloads w WHERE w.workload_id = $1
"""
_COUNTS = "SELECT queued, running, assigned FROM customer_usage WHERE customer_id = 'cust_a'"
_SUCCEEDED = """
UPDATE leader_lease SET epoch = epoch + 1, holder = 'other', expires_at = clock_timestamp() + interval '1 second'
"""
_OLDER = """
INSERT INTO workloads (customer_id, workload_id, workload_type, status, priority, input_params, placement_key,
                       queue_rank, created_at)
VALUES ('cust_a', 'wl_older', 'count', 'PENDING', 0, '{}', $1, 1, now())
"""


async def _ask(system: System, query: str, *arguments: Any) -> Any:
    conn = await asyncpg.connect(system.database_url)
    try:
        return await conn.fetchrow(query, *arguments)
    finally:
        await conn.close()


async def _was_at_once(system: System, workload_id: str) -> bool:
    """Whether it was assigned by the transaction that created it."""
    return bool((await _ask(system, _WRITTEN, workload_id))[0])


@pytest.fixture(autouse=True)
def _no_comparing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then the board is compared with the database, and then the shortcut is closed for a moment."""
    monkeypatch.setattr(board, "COMPARE_SECONDS", 3600.0)


async def _serve_some(system: System, worker: ScriptedWorker) -> None:
    """Until one is assigned at once: whoever leads knows the worker and its free slots by then."""
    async with asyncio.timeout(20):
        is_open = False
        while not is_open:
            workload_id = await system.submit("cust_b")
            first = await worker.next_assignment()
            assert first.ref.workload_id == workload_id
            await worker.report(first.ref, messages.Started(), messages.Completed(b"{}"))
            is_open = await _was_at_once(system, workload_id)


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "k1"}], ids=["plain", "keyed"])
async def test_a_free_slot_is_filled_by_the_transaction_that_stores(system: System, headers: dict[str, Any]) -> None:
    config = {"workload_type": "count", "config_json": {"speed": 9}, "timeout_seconds": 77}
    assert (await system.call("POST", "/workload-configs", config))[0] == 201
    worker = await system.worker()
    async with beating(worker):
        await _serve_some(system, worker)
        body = {"workload_type": "count", "input_params": {"to": 3}}
        status, answer, _ = await system.call("POST", "/workloads", body, **headers)
        workload_id = answer["workload_id"]
        assert (status, answer["status"]) == (202, "PENDING")
        assignment = await worker.next_assignment()
        assert (assignment.ref.workload_id, assignment.ref.generation) == (workload_id, 1)
        assert json.loads(assignment.input_json) == {"to": 3}
        assert (json.loads(assignment.config_json), assignment.timeout_seconds) == ({"speed": 9}, 77)
        assert await _was_at_once(system, workload_id)
        assert (await system.get(workload_id))["version"] == 2
        assert tuple(await _ask(system, _COUNTS)) == (0, 1, 1)
        await worker.report(assignment.ref, messages.Started(), messages.Completed(b"{}"))
        await system.until(workload_id, "COMPLETED")
        assert await system.audit(workload_id) == ["created", "scheduled", "started", "completed"]
        assert tuple(await _ask(system, _COUNTS)) == (0, 0, 1)
        if headers:
            status, again, answered = await system.call("POST", "/workloads", body, **headers)
            assert (status, again["workload_id"], answered["Idempotent-Replayed"]) == (202, workload_id, "true")


async def test_limits_and_priorities_hold(system: System) -> None:
    """Of a batch the first by priority get the slots, one of them as the customer may have no more."""
    change = {"limits": {"max_concurrent_workloads": 1}}
    assert (await system.call("PATCH", "/admin/customers/cust_a", change, key="admin"))[0] == 200
    worker = await system.worker(capacity=4)
    async with beating(worker):
        await _serve_some(system, worker)
        batch = [{"workload_type": "count", "input_params": {"n": n}, "priority": n} for n in (10, 900, 500)]
        _, body, _ = await system.call("POST", "/workloads/batch", {"workloads": batch})
        ids = [item["workload_id"] for item in body["results"]]
        first = await worker.next_assignment()
        assert first.ref.workload_id == ids[1]
        assert [await _was_at_once(system, found) for found in ids] == [False, True, False]
        other = await system.submit("cust_b")
        assert (await worker.next_assignment()).ref.workload_id == other
        assert worker.assignments.empty()
        assert await _was_at_once(system, other)
        await worker.report(first.ref, messages.Started(), messages.Completed(b"{}"))
        assert (await worker.next_assignment()).ref.workload_id == ids[2]


async def test_a_crowd_is_assigned_by_one_transaction_and_more_are_left_to_a_pass(system: System) -> None:
    """While so many are stored no pass decides, so there is a bound."""
    worker = await system.worker(capacity=200)
    async with beating(worker):
        await _serve_some(system, worker)
        for count, is_expected in ((64, True), (65, False)):
            batch = [{"workload_type": "count", "input_params": {"n": n}} for n in range(count)]
            _, body, _ = await system.call("POST", "/workloads/batch", {"workloads": batch})
            ids = [item["workload_id"] for item in body["results"]]
            assignments = [await worker.next_assignment() for _ in ids]
            assert sorted(one.ref.workload_id for one in assignments) == sorted(ids)
            assert {await _was_at_once(system, found) for found in ids} == {is_expected}


async def test_what_waits_in_the_lane_goes_first_even_if_nobody_told_of_it(system: System) -> None:
    """The hint of an older one was lost: the statement itself looks, stores nothing so, and a pass takes both."""
    worker = await system.worker(capacity=1)
    async with beating(worker):
        await _ask(system, _OLDER, placement_key("count", None))
        await _ask(system, "UPDATE customer_usage SET queued = queued + 1 WHERE customer_id = 'cust_a'")
        newer = await system.submit()
        assert (await worker.next_assignment()).ref.workload_id == "wl_older"
        assert not await _was_at_once(system, newer)
        assert (await system.get(newer))["status"] == "PENDING"


async def test_a_leader_that_was_succeeded_assigns_nothing(system: System) -> None:
    """Another has begun, and this one hasn't heard: the submission is stored all the same, and waits for a leader."""
    worker = await system.worker(capacity=3)
    async with beating(worker):
        await _serve_some(system, worker)
        first = await system.submit()
        await worker.next_assignment()
        assert await _was_at_once(system, first)
        await _ask(system, _SUCCEEDED)
        second = await system.submit()
        assert (await worker.next_assignment()).ref.workload_id == second  # when it leads again
        assert not await _was_at_once(system, second)


async def test_an_assignment_whose_push_is_lost_with_its_leader_is_sent_again(
    database_url: str, nats_url: str, subject_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leader dies between the commit and the push: the next one finds it, and no generation is lost."""
    lost = asyncio.Event()
    real = Commands.assign

    def lose(commands: Commands, epoch: int, assigned: Any) -> None:
        if lost.is_set():
            real(commands, epoch, assigned)
        elif list(assigned):
            lost.set()

    settings = {"unanswered_seconds": 60.0}  # before that it isn't taken back, however slow the machine is
    async with contextlib.AsyncExitStack() as stack:
        system = await stack.enter_async_context(running_system(database_url, nats_url, subject_prefix, **settings))
        second = await stack.enter_async_context(system.another_coordinator())
        worker = await system.worker()
        await stack.enter_async_context(beating(worker))
        await _serve_some(system, worker)
        monkeypatch.setattr(Commands, "assign", lose)
        workload_id = await system.submit()
        assert lost.is_set()
        assert await _was_at_once(system, workload_id)
        await system.coordinator.stop()
        assignment = await worker.next_assignment(30)
        assert (assignment.ref.workload_id, assignment.ref.generation) == (workload_id, 1)
        await worker.report(assignment.ref, messages.Started(), messages.Completed(b"{}"))
        _, body, _ = await system.call("GET", f"/workloads/{workload_id}?wait_seconds=5", via=second)
        assert body["status"] == "COMPLETED"


async def test_a_replica_that_does_not_lead_hands_over(system: System) -> None:
    worker = await system.worker()
    async with beating(worker), system.another_coordinator() as second:
        body = {"workload_type": "count", "input_params": {}}
        _, answer, _ = await system.call("POST", "/workloads", body, via=second)
        assert (await worker.next_assignment()).ref.workload_id == answer["workload_id"]
        assert not await _was_at_once(system, answer["workload_id"])


async def test_a_crowd_fills_all_slots_and_no_more(system: System) -> None:
    """Submissions at once and passes take turns: each slot is given once, and all run."""
    workers = [await system.worker(f"w{n}", capacity=3) for n in range(2)]
    ended = 0

    async def work(worker: Any) -> None:
        nonlocal ended
        holds: set[Any] = set()

        async def end(ref: Any) -> None:
            nonlocal ended
            await worker.report(ref, messages.Started())
            holds.discard(ref)
            await worker.report(ref, messages.Completed(b"{}"))
            ended += 1

        async with asyncio.TaskGroup() as group:
            while True:
                assignment = await worker.next_assignment(20)
                holds.add(assignment.ref)
                assert len(holds) <= 3
                group.create_task(end(assignment.ref))

    async with beating(*workers):
        running = [asyncio.create_task(work(worker)) for worker in workers]
        await asyncio.gather(*(system.submit(("cust_a", "cust_b")[n % 2]) for n in range(40)))
        async with asyncio.timeout(20):
            while ended < 40:
                assert not any(task.done() for task in running), running
                await asyncio.sleep(0.02)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert tuple(await _ask(system, _COUNTS)) == (0, 0, 20)


async def test_of_many_the_last_must_not_pass_what_is_ready(database_url: str) -> None:
    """All of a lane are stored by one look at it: what is ready between them goes before the last."""
    store = SubmissionStore()
    database = await Database.open(database_url)
    actor = Actor(ActorType.COORDINATOR, "c1")
    first, between, last = (new_workload("cust_a", rank) for rank in range(3))

    def assigning(*chosen: NewWorkload) -> Assigning:
        changes = {}
        for new in chosen:
            change = Change.begin(Locked(new.created.state, new.created_at, DEFAULT_CONFIG, None))
            change.then(transitions.schedule(change.state, new.created_at, actor, "w1", "i1", progress_percent=0))
            changes[new.key] = change
        return Assigning(0, changes)

    try:
        async with database.connection() as conn:
            await add_customer(conn, "cust_a")
            await store.insert_batch(conn, [between], {"cust_a": 9})
            both = await store.insert_batch(conn, [first, last], {"cust_a": 9}, assigning=assigning(first, last))
            assert (both.is_refused, both.is_fenced, dict(both.assigned)) == (True, False, {})
            one = await store.insert_batch(conn, [first, last], {"cust_a": 9}, assigning=assigning(first))
            assert (one.is_refused, set(one.assigned)) == (False, {first.key})
    finally:
        await database.close()


async def test_what_is_stored_is_what_the_move_decided(database_url: str) -> None:
    """The row that the statement writes is the state that `transitions.schedule` gives, field by field."""
    store, workloads = SubmissionStore(), WorkloadStore()
    database = await Database.open(database_url)
    batch = [new_workload("cust_a", rank) for rank in range(3)]
    chosen = batch[1]
    change = Change.begin(Locked(chosen.created.state, chosen.created_at, DEFAULT_CONFIG, None))
    actor = Actor(ActorType.COORDINATOR, "c1")
    change.then(transitions.schedule(change.state, chosen.created_at, actor, "w1", "i1", progress_percent=0))
    try:
        async with database.connection() as conn:
            await add_customer(conn, "cust_a")
            wrong = await store.insert_batch(
                conn, batch, {"cust_a": 9}, assigning=Assigning(99, {chosen.key: change})
            )
            assert (wrong.is_refused, wrong.is_fenced, dict(wrong.assigned)) == (True, True, {})
            assert await store.existing(conn, batch) == set()
            right = await store.insert_batch(
                conn, [chosen], {"cust_a": 9}, assigning=Assigning(0, {chosen.key: change})
            )
            assert (right.is_refused, right.depth, dict(right.assigned)) == (False, {"cust_a": 0}, {chosen.key: None})
            found = (await workloads.states(conn, [chosen.key]))[chosen.key].state
            events = await whole(conn).fetch("SELECT * FROM audit_events ORDER BY event_id")
        expected = change.state.but(
            scheduled_at=right.now, placement_key=chosen.placement_key, misfits=chosen.misfits
        )
        assert found == expected
        assert [(e["event_type"], e["actor_type"], e["actor_id"]) for e in events] == [
            ("workload.created", "user", chosen.actor_id),
            ("workload.scheduled", "coordinator", "c1"),
        ]
        assert json.loads(events[1]["details"]) == change.events[-1].details
        assert events[1]["occurred_at"] == right.now
    finally:
        await database.close()
