"""One coordinator, real PostgreSQL and NATS, a scripted worker: each promise that needs no process to be killed."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import msgspec
import pytest

from niyanta.wire import messages
from niyanta.wire.changes import Changed
from niyanta.wire.messages import CancelAttempt, PauseAttempt, WithdrawPause
from support.cases import cases
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, supported


async def test_a_workload_runs_and_its_history_says_so(system: System) -> None:
    worker = await system.worker()
    workload_id = await system.submit(input_params={"to": 3})
    assignment = await worker.next_assignment()
    assert json.loads(assignment.input_json) == {"to": 3}
    await worker.report(assignment.ref, messages.Started(), messages.Progressed(40, "so far"))
    assert (await system.until(workload_id, "RUNNING"))["progress_percent"] == 40
    await worker.report(assignment.ref, messages.Completed(b'{"sum": 6}'))
    done = await system.until(workload_id, "COMPLETED")
    assert done["result_data"] == {"sum": 6}
    assert done["progress_percent"] == 100
    assert await system.audit(workload_id) == ["created", "scheduled", "started", "completed"]
    _, logs, _ = await system.call("GET", f"/workloads/{workload_id}/logs")
    assert [line["message"] for line in logs["logs"]] == ["so far"]


async def test_resent_events_change_nothing(system: System) -> None:
    worker = await system.worker()
    workload_id = await system.submit()
    ref = (await worker.next_assignment()).ref
    events = [worker.event(ref, messages.Started()), worker.event(ref, messages.Completed(b"{}"))]
    for _ in range(3):
        (reply,) = await worker.send(*events)
        assert reply.outcome == "applied"
    assert await system.audit(workload_id) == ["created", "scheduled", "started", "completed"]
    assert (await system.get(workload_id))["version"] == 4


@pytest.mark.hasty
async def test_a_silent_worker_loses_its_workload_and_its_late_events_are_fenced(system: System) -> None:
    first = await system.worker("w1")
    workload_id = await system.submit()
    old = (await first.next_assignment()).ref
    await first.report(old, messages.Started())
    assert (await first.checkpoint(old, b'{"n": 7}')).checkpoint_sequence == 1
    second = await system.worker("w2")
    async with beating(second):
        assignment = await second.next_assignment(10)
        assert assignment.checkpoint_sequence == 1
        assert assignment.ref.generation == old.generation + 1
        assert (await second.fetch_checkpoint(assignment.ref, 1)).data == b'{"n": 7}'
        await second.report(assignment.ref, messages.Started())
        reply = await first.report(old, messages.Completed(b'{"late": true}'))
        assert reply.outcome == "fenced"
        assert not (await first.beat(old)).ok
        await second.report(assignment.ref, messages.Completed(b'{"late": false}'))
    done = await system.until(workload_id, "COMPLETED")
    assert done["result_data"] == {"late": False}
    assert done["retry_count"] == 1
    assert "redistributed" in await system.audit(workload_id)


@pytest.mark.hasty
async def test_three_deaths_in_a_row_fail_the_workload(system: System) -> None:
    worker = await system.worker("w0")
    workload_id = await system.submit()
    for number in range(1, 4):
        assignment = await worker.next_assignment(10)
        await worker.report(assignment.ref, messages.Started())
        worker = await system.worker(f"w{number}")
    done = await system.until(workload_id, "FAILED", 15)
    assert "3 times in a row" in done["error_message"]


async def test_a_pause_ends_paused_with_its_checkpoint_and_resumes_from_it(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        pausing = asyncio.create_task(system.call("POST", f"/workloads/{workload_id}/pause"))
        assert isinstance(await worker.next_command(), PauseAttempt)
        reply = await worker.checkpoint(ref, b'{"n": 1}')
        assert reply.pause_granted
        await worker.report(ref, messages.Paused())
        status, body, _ = await pausing
        assert (status, body["status"], body["checkpoint_sequence"]) == (200, "PAUSED", 1)
        assert (await system.get(workload_id))["worker_id"] is None
        status, body, _ = await system.call("POST", f"/workloads/{workload_id}/resume")
        assert (status, body["status"], body["checkpoint_sequence"]) == (202, "PENDING", 1)
        again = await worker.next_assignment()
        assert again.checkpoint_sequence == 1
        await worker.report(again.ref, messages.Started(), messages.Completed(b"{}"))
    done = await system.until(workload_id, "COMPLETED")
    assert done["retry_count"] == 0


async def test_a_pause_that_gets_no_checkpoint_is_withdrawn(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        status, body, headers = await system.call("POST", f"/workloads/{workload_id}/pause")
        assert (status, body["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert "Retry-After" in headers
        commands = [await worker.next_command()]
        while not isinstance(commands[-1], WithdrawPause):
            commands.append(await worker.next_command())
        assert not (await worker.checkpoint(ref, b"{}")).pause_granted
        assert (await system.get(workload_id))["status"] == "RUNNING"


async def test_a_cancel_wins_over_a_late_result(system: System) -> None:
    worker = await system.worker()
    workload_id = await system.submit()
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, messages.Started())
    status, body, _ = await system.call("POST", f"/workloads/{workload_id}/cancel", {"reason": "enough"})
    assert (status, body["status"]) == (200, "CANCELLED")
    assert isinstance(await worker.next_command(), CancelAttempt)
    assert (await worker.report(ref, messages.Completed(b"{}"))).outcome == "fenced"
    status, body, _ = await system.call("POST", f"/workloads/{workload_id}/cancel")
    assert (status, body["error"]["code"]) == (400, "INVALID_STATE")
    assert body["error"]["details"]["current_status"] == "CANCELLED"


async def test_transient_failures_are_retried_and_permanent_ones_are_not(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started(), messages.Failed("the disk was full"))
        again = await worker.next_assignment(10)
        assert again.ref.generation == ref.generation + 1
        await worker.report(again.ref, messages.Started(), messages.Failed("no such file", permanent=True))
    done = await system.until(workload_id, "FAILED")
    assert (done["retry_count"], done["error_message"]) == (1, "no such file")


@pytest.mark.hasty
async def test_an_unanswered_assignment_is_pushed_again_and_then_taken_back(system: System) -> None:
    worker = await system.worker()
    async with beating(worker):
        workload_id = await system.submit()
        first = await worker.next_push()
        second = await worker.next_push()
        assert first.ref == second.ref
        while (third := await worker.next_push(10)).ref == first.ref:
            pass
        assert third.ref.generation == first.ref.generation + 1
        assert (await worker.report(first.ref, messages.Started())).outcome == "fenced"
        await worker.report(third.ref, messages.Started(), messages.Completed(b"{}"))
    assert "unscheduled" in await system.audit(workload_id)


async def test_hard_affinity_waits_for_its_worker_and_says_why(system: System) -> None:
    plain = await system.worker("plain")
    async with beating(plain):
        rules = {"hard_affinity": {"worker_tags": {"hardware": "gpu"}}}
        workload_id = await system.submit(affinity_rules=rules)
        other = await system.submit()
        assert (await plain.next_assignment()).ref.workload_id == other
        reason = (await system.get(workload_id))["pending_reason"]
        assert "hardware=gpu" in reason
        special = await system.worker("special", tags={"hardware": "gpu"})
        assert (await special.next_assignment()).ref.workload_id == workload_id


async def test_capacity_and_priority(system: System) -> None:
    worker = await system.worker(capacity=1)
    async with beating(worker):
        running = await system.submit()
        ref = (await worker.next_assignment()).ref
        assert ref.workload_id == running
        await worker.report(ref, messages.Started())
        low = await system.submit(priority=0)
        high = await system.submit(priority=900)
        assert worker.assignments.empty()
        await worker.report(ref, messages.Completed(b"{}"))
        ref = (await worker.next_assignment()).ref
        assert ref.workload_id == high
        await worker.report(ref, messages.Started(), messages.Completed(b"{}"))
        assert (await worker.next_assignment()).ref.workload_id == low


async def test_an_idempotency_key_never_makes_two_workloads(system: System) -> None:
    await system.worker(capacity=1)
    body = {"workload_type": "count", "input_params": {"x": 1}}
    answers = await asyncio.gather(
        *(system.call("POST", "/workloads", body, Idempotency_Key="same") for _ in range(20))
    )
    assert {status for status, _, _ in answers} == {202}
    assert len({answer["workload_id"] for _, answer, _ in answers}) == 1
    assert sum(headers.get("Idempotent-Replayed") == "true" for _, _, headers in answers) == 19
    status, answer, _ = await system.call(
        "POST", "/workloads", {"workload_type": "count", "input_params": {"x": 2}}, Idempotency_Key="same"
    )
    assert (status, answer["error"]["code"]) == (409, "CONFLICT")
    status, other, _ = await system.call("POST", "/workloads", body, key="cust_b", Idempotency_Key="same")
    assert status == 202
    assert other["workload_id"] != answers[0][1]["workload_id"]


async def test_the_queue_depth_is_exact_under_concurrent_submission(system: System) -> None:
    await supported(system)  # no worker: nothing leaves the queue and comes back meanwhile
    await system.customers.update_customer("cust_a", max_queue_depth=7, max_concurrent_workloads=0)
    async with asyncio.timeout(20):
        while True:  # the coordinator learns of new limits within about a second
            status, body, _ = await system.call("POST", "/workloads", {"workload_type": "count", "input_params": {}})
            if status == 503:
                break
            await asyncio.sleep(0.05)  # within its rate: what follows is to be refused for the queue alone
    assert body["error"]["details"]["max_queue_depth"] == 7
    _, listed, _ = await system.call("GET", "/workloads?status=PENDING")
    depth = listed["pagination"]["total"]
    for workload in listed["workloads"][: depth - 2]:
        await system.call("POST", f"/workloads/{workload['workload_id']}/cancel")
    answers = await asyncio.gather(
        *(system.call("POST", "/workloads", {"workload_type": "count", "input_params": {}}) for _ in range(30))
    )
    assert sum(status == 202 for status, _, _ in answers) == 5
    assert {status for status, _, _ in answers} == {202, 503}


async def test_a_foreign_workload_looks_exactly_like_a_missing_one(system: System) -> None:
    await system.worker()
    mine = await system.submit()
    never = mine[:-4] + ("zzzz" if not mine.endswith("zzzz") else "yyyy")
    calls: list[tuple[str, str]] = [
        ("GET", ""),
        ("POST", "/cancel"),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("GET", "/logs"),
        ("GET", "/audit"),
    ]
    for method, suffix in calls:
        foreign = await system.call(method, f"/workloads/{mine}{suffix}", key="cust_b")
        missing = await system.call(method, f"/workloads/{never}{suffix}", key="cust_b")
        for answer in (foreign, missing):
            answer[1]["error"].pop("request_id")
        assert foreign[0] == missing[0] == 404
        assert foreign[1] == missing[1]


async def test_counts_return_to_zero(system: System) -> None:
    worker = await system.worker(capacity=5)
    ids = [await system.submit() for _ in range(5)]
    for _ in ids:
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started(), messages.Completed(b"{}"))
    connection = await asyncpg.connect(system.database_url)
    row = await connection.fetchrow("SELECT queued, running FROM customer_usage WHERE customer_id = 'cust_a'")
    await connection.close()
    assert row is not None
    assert (row["queued"], row["running"]) == (0, 0)


async def test_history_can_not_be_rewritten(system: System) -> None:
    await system.worker()
    await system.submit()
    connection = await asyncpg.connect(system.database_url)
    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute("DELETE FROM audit_events")
    await connection.close()


async def test_a_live_workers_id_is_refused_to_another(system: System) -> None:
    first = await system.worker("same")
    assert (await first.register_again()).accepted
    second = ScriptedWorker(system.broker, system.subjects, "same")
    reply = await second.register_again()
    assert (reply.accepted, reply.reason) == (False, "in_use")


BAD_BODIES = [
    (b"{", "JSON"),
    (b"\xff\xfe{\x00}\x00", "JSON"),
    (b'{"workload_type": "count"}', "input_params"),
    (b'{"workload_type": 3, "input_params": {}}', "workload_type"),
    (b'{"workload_type": "count", "input_params": []}', "input_params"),
    (b'{"workload_type": "count", "input_params": {}, "status": "COMPLETED"}', "status"),
    (b'{"workload_type": "count", "input_params": {}, "priority": 1001}', "priority"),
    (b'{"workload_type": "count", "input_params": {}, "priority": -1}', "priority"),
    (b'{"workload_type": "count", "input_params": {}, "priority": true}', "priority"),
    (b'{"workload_type": "count", "input_params": {}, "timeout_seconds": 0}', "timeout_seconds"),
    (b'{"workload_type": "count", "input_params": {"x": NaN}}', "JSON"),
    (b'{"workload_type": "count", "input_params": {"x": 1e400}}', ""),
    (b'{"workload_type": "count", "input_params": {"x": "\\u0000"}}', "NUL"),
    (b'{"workload_type": "count", "input_params": {"x": "\\ud800"}}', ""),
    (b'{"workload_type": "count", "input_params": {"x": 123456789012345678901234}}', "64 bits"),
    (b'{"workload_type": "count", "input_params": {"x": ' + b"[" * 2000 + b"]" * 2000 + b"}}", "deep"),
    (b'{"workload_type": "nobody_serves_this", "input_params": {}}', "supported"),
]


@pytest.fixture
async def served(system: System) -> System:
    """With a worker that serves ``count``."""
    await system.worker()
    return system


@cases(("body", "names"), BAD_BODIES)
async def test_bad_bodies_get_a_clear_400(served: System, body: bytes, names: str) -> None:
    async with served.http.post(
        f"http://127.0.0.1:{served.coordinator.port}/v1/workloads",
        data=body,
        headers={"Authorization": f"Bearer {served.keys['cust_a']}", "Content-Type": "application/json"},
    ) as response:
        answer = await response.json()
    assert response.status == 400, answer
    assert answer["error"]["code"] == "INVALID_INPUT"
    assert names in json.dumps(answer["error"])
    assert answer["error"]["request_id"]


async def test_a_coordinator_that_stops_says_that_nothing_follows(system: System) -> None:
    heard: asyncio.Queue[Changed] = asyncio.Queue()

    async def note(payload: bytes) -> None:
        heard.put_nowait(msgspec.msgpack.decode(payload, type=Changed))

    await system.broker.serve(system.subjects.changed, note)
    async with system.another_coordinator(coordinator_id="leaving"):
        pass
    async with asyncio.timeout(10):
        while not (said := await heard.get()).is_last:
            pass
    assert said.origin == "leaving"
