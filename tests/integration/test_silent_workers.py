"""Who is taken for dead, and what becomes of what a lost worker held, on real PostgreSQL and NATS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from niyanta.domain.workers import beat_answer_seconds
from niyanta.errors import ServiceUnavailableError
from niyanta.server.store.database import Pool
from niyanta.server.store.queries import Connection
from niyanta.server.store.workloads import WorkloadStore
from niyanta.wire import messages
from niyanta.wire.messages import AttemptRef, RegisterReply
from support.pace import pace
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, running_system, supported

pytestmark = pytest.mark.hasty

_STATUS = "SELECT status FROM workloads WHERE workload_id = $1"


async def _submitted(system: System) -> str:
    """A workload that waits for its first worker."""
    await supported(system)
    return await system.submit()


async def test_a_worker_that_answers_when_asked_is_not_dead(system: System) -> None:
    worker = await system.worker(answers=True)
    other = await system.worker("other", types=["nothing"])
    async with beating(other):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        # It never beats: for three leases it is alive only because it is asked.
        deadline = asyncio.get_running_loop().time() + 3 * system.coordinator.settings.worker_lease_seconds
        while asyncio.get_running_loop().time() < deadline:
            assert (await system.get(workload_id))["status"] == "RUNNING"
            await asyncio.sleep(0.1)
        worker.answers = False
        assert (await system.until(workload_id, "REDISTRIBUTING"))["retry_count"] == 1


async def test_a_beat_is_answered_in_time_while_the_database_hangs(system: System) -> None:
    """Whoever hears nothing for long stops what runs; a database that hangs says nothing for minutes."""
    worker = await system.worker()
    message = messages.Heartbeat(worker.worker_id, worker.incarnation, False, [])
    lease = system.coordinator.settings.worker_lease_seconds
    hanging = await asyncpg.connect(system.database_url)
    try:
        async with hanging.transaction():
            await hanging.execute("LOCK TABLE workers IN ACCESS EXCLUSIVE MODE")
            for _ in range(3):
                async with asyncio.timeout(beat_answer_seconds(lease) * pace()):
                    assert await worker.beat_once(message) == messages.HeartbeatReply(ok=False, hold=True)
    finally:
        await hanging.close()
    assert (await worker.beat()).ok


async def test_workers_have_time_to_come_back_after_the_broker_was_away(system: System) -> None:
    worker = await system.worker()
    workload_id = await system.submit()
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, messages.Started())
    broker = system.coordinator.broker
    assert broker is not None
    again = asyncio.Event()
    broker.on_reconnect.append(again.set)
    broker.cut()
    async with asyncio.timeout(10):
        await again.wait()
    # As long as a worker is refused while no coordinator is there to let it in: more than a lease here.
    deadline = asyncio.get_running_loop().time() + 2.5
    while asyncio.get_running_loop().time() < deadline:
        assert (await system.get(workload_id))["status"] == "RUNNING"
        await asyncio.sleep(0.1)
    assert (await worker.beat(ref)).ok


async def test_a_workload_that_ends_its_worker_before_the_start_is_found_out(system: System) -> None:
    worker = await system.worker("w0")
    workload_id = await system.submit()
    for number in range(1, 4):
        async with beating(worker):
            await worker.next_assignment(10 * pace())  # and nothing more is heard of the worker
        worker = await system.worker(f"w{number}")
    failed = await system.until(workload_id, "FAILED", 15 * pace())
    assert "3 times in a row" in failed["error_message"]
    assert failed["retry_count"] == 0
    assert await system.audit(workload_id) == [
        "created",
        *["scheduled", "unscheduled"] * 2,
        "scheduled",
        "failed",
    ]


async def test_load_on_the_api_delays_no_burial(system: System) -> None:
    worker = await system.worker()
    other = await system.worker("other", types=["nothing"])
    async with beating(other):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        await worker.report(ref, messages.Started())
        ended = asyncio.Event()
        database = system.coordinator.database
        assert database is not None
        refused: list[ServiceUnavailableError] = []

        async def hold() -> None:
            while not ended.is_set():
                try:
                    async with database.connection(Pool.API, wait_seconds=0.05):
                        await ended.wait()  # so whoever needs one of these waits for good
                except ServiceUnavailableError as exc:
                    refused.append(exc)

        load = [asyncio.create_task(hold()) for _ in range(40)]
        own = await asyncpg.connect(system.database_url)
        try:
            async with asyncio.timeout(20 * pace()):  # while the load goes on
                while await own.fetchval(_STATUS, workload_id) == "RUNNING":
                    await asyncio.sleep(0.05)
        finally:
            ended.set()
            await asyncio.gather(*load)
            await own.close()
    assert len(refused) > 20, "the load was none"


async def test_a_slot_that_a_cancelled_attempt_does_not_give_back_is_not_filled_over_and_over(system: System) -> None:
    worker = await system.worker(capacity=1)
    stubborn = await system.submit()
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, messages.Started())
    status, _, _ = await system.call("POST", f"/workloads/{stubborn}/cancel")
    assert status == 200
    waiting = await system.submit()
    refused = 0
    deadline = asyncio.get_running_loop().time() + 3
    while asyncio.get_running_loop().time() < deadline:
        await worker.beat(ref, lingering=1)  # it still holds the slot
        try:
            again = await worker.next_assignment(0.1)
        except TimeoutError:
            continue
        refused += 1
        await worker.report(again.ref, messages.Refused("this worker is full"))
    assert refused <= 3
    async with beating(worker):  # without it
        again = await worker.next_assignment(10)
        assert again.ref.workload_id == waiting
        await worker.report(again.ref, messages.Started(), messages.Completed(b"{}"))


@pytest.fixture
async def patient_for_beats(database_url: str, nats_url: str, subject_prefix: str) -> AsyncIterator[System]:
    """A system that believes for minutes what a worker has said of its slots."""
    slow = {"heartbeat_interval_seconds": 60.0, "worker_lease_seconds": 600.0}
    async with running_system(database_url, nats_url, subject_prefix, **slow) as found:
        yield found


async def test_a_slot_counts_as_held_for_as_long_as_its_worker_says(patient_for_beats: System) -> None:
    system = patient_for_beats
    worker = await system.worker(capacity=1)

    async def completed() -> messages.AttemptRef:
        ref = (await worker.next_push()).ref
        await worker.report(ref, messages.Started(), messages.Completed(b"{}"))
        return ref

    await system.submit()
    # What it names has ended since it wrote the beat: nothing is held by it.
    ref = await completed()
    assert (await worker.beat(ref)).superseded == [ref]
    second = await system.submit()
    assert (await completed()).workload_id == second
    await worker.beat(ref, lingering=10_000)  # no more than it names
    third = await system.submit()
    with pytest.raises(TimeoutError):
        await worker.next_push(0.5)
    await worker.beat(lingering=0)
    assert (await completed()).workload_id == third


async def test_a_slot_that_an_attempt_is_taken_from_is_free_when_its_worker_says_so(
    patient_for_beats: System,
) -> None:
    system = patient_for_beats
    worker = await system.worker(capacity=2)
    ids = [await system.submit() for _ in range(3)]
    for ref in [(await worker.next_push()).ref for _ in range(2)]:
        await worker.report(ref, messages.Started())
    status, _, _ = await system.call("POST", f"/workloads/{ids[0]}/cancel")
    assert status == 200
    # It would only refuse, and rest for that: with another's cancels it would hardly ever work.
    with pytest.raises(TimeoutError):
        await worker.next_push(0.5)
    await worker.beat(lingering=0)
    assert (await worker.next_push()).ref.workload_id == ids[2]


async def test_an_estimate_does_not_count_what_can_not_be_placed_now(system: System) -> None:
    worker = await system.worker(types=["count", "kept"], capacity=8)
    async with beating(worker):
        await system.submit(workload_type="kept")
        kept = await worker.next_assignment()
        await worker.report(kept.ref, messages.Started())
        rules = {"anti_affinity": {"workload_types": ["kept"]}}
        nowhere = {"hard_affinity": {"worker_tags": {"zone": "none"}}}
        workloads = [
            {"workload_type": "count", "input_params": {}, "affinity_rules": rule}
            for rule in (rules, nowhere)
            for _ in range(50)
        ]
        status, body, _ = await system.call("POST", "/workloads/batch", {"workloads": workloads})
        assert status == 202, body
        _, body, _ = await system.call("POST", "/workloads", {"workload_type": "count", "input_params": {}})
        created, start = (datetime.fromisoformat(body[name]) for name in ("created_at", "estimated_start_time"))
        assert (start - created).total_seconds() < 1


async def _until_estimated(system: System, is_right: Callable[[float | None], bool]) -> None:
    """Submit now and then until the seconds to the start are estimated rightly; what is known is a little old."""
    async with asyncio.timeout(20):
        while True:
            _, body, _ = await system.call("POST", "/workloads", {"workload_type": "count", "input_params": {}})
            created, start = (body.get(name) for name in ("created_at", "estimated_start_time"))
            if is_right(start and (datetime.fromisoformat(start) - datetime.fromisoformat(created)).total_seconds()):
                return
            await asyncio.sleep(0.5)


async def _fill(system: System, worker: ScriptedWorker, count: int, **options: Any) -> None:
    """Have a worker of one slot busy, and more waiting for it."""
    for _ in range(count):
        await system.call("POST", "/workloads", {"workload_type": "count", "input_params": {}, **options})
    await worker.report((await worker.next_assignment()).ref, messages.Started())


async def test_an_estimate_counts_what_waits_for_the_same_slots(system: System) -> None:
    worker = await system.worker(capacity=1)
    async with beating(worker):
        await _fill(system, worker, 4)
        # Three wait for the only slot, and it isn't free.
        await _until_estimated(system, lambda seconds: seconds is None or seconds > 1)


async def test_an_estimate_does_not_count_what_waits_for_slots_of_others(system: System) -> None:
    busy = await system.worker("busy", capacity=1, tags={"zone": "a"})
    idle = await system.worker("idle", capacity=4)
    async with beating(busy, idle):
        await _fill(system, busy, 6, affinity_rules={"hard_affinity": {"worker_tags": {"zone": "a"}}})
        # Four slots are free for it.
        await _until_estimated(system, lambda seconds: seconds is not None and seconds < 1)


async def test_three_workers_that_die_shortly_before_their_assignment_is_taken_back_are_three_deaths(
    system: System,
) -> None:
    workload_id = await _submitted(system)
    settings = system.coordinator.settings
    for number in range(3):
        worker = await system.worker(f"w{number}")
        async with beating(worker):
            await worker.next_assignment(10)
            # It hangs for a while, and dies at the last moment.
            await asyncio.sleep(settings.unanswered_seconds - 0.15)
    await system.worker("w3")
    failed = await system.until(workload_id, "FAILED", 15 * pace())
    assert "3 times in a row" in failed["error_message"]


async def test_a_worker_that_comes_back_under_its_id_was_lost_all_the_same(system: System) -> None:
    workload_id = await _submitted(system)
    worker = await system.worker()
    for number in range(3):
        async with beating(worker):
            await worker.next_assignment(10)
        worker.incarnation = f"again{number}"
        async with asyncio.timeout(10):
            while not (await worker.register_again()).accepted:
                await asyncio.sleep(0.01)
    failed = await system.until(workload_id, "FAILED", 15 * pace())
    assert "3 times in a row" in failed["error_message"]


async def test_a_stop_is_no_death_however_soon_the_worker_is_back(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is back under its id between the monitor's look at the work of who is gone and its look at how they left."""
    worker = await system.worker()
    workload_id = await _submitted(system)
    await worker.next_assignment()
    orphaned = WorkloadStore.orphaned
    answers: list[RegisterReply] = []

    async def back_before_the_next_look(store: WorkloadStore, conn: Connection) -> Sequence[tuple[str, str]]:
        found = await orphaned(store, conn)
        if found and not answers:
            worker.incarnation = "second"
            answers.append(await worker.register_again())
        return found

    monkeypatch.setattr(WorkloadStore, "orphaned", back_before_the_next_look)
    await worker.beat(leaving=True)
    await system.until(workload_id, "PENDING")
    assert [answer.reason for answer in answers] == ["in_use"], "what it had is still to be taken from it"
    _, history, _ = await system.call("GET", f"/workloads/{workload_id}/audit")
    taken = history["events"][-1]
    assert "was stopped" in taken["details"]["reason"]
    assert "deaths_in_a_row" not in taken["details"]
    async with asyncio.timeout(5 * pace()):
        while not (await worker.register_again()).accepted:
            await asyncio.sleep(0.02)


async def test_an_assignment_whose_worker_says_that_it_has_it_is_not_taken_back(system: System) -> None:
    worker = await system.worker(answers=True)
    async with beating(worker):
        workload_id = await system.submit()
        ref = (await worker.next_assignment()).ref
        worker.holds = [ref]
        await asyncio.sleep(2 * system.coordinator.settings.unanswered_seconds)  # nothing must happen meanwhile
        assert (await system.get(workload_id))["generation"] == 1
        await worker.report(ref, messages.Started(), messages.Completed(b"{}"))
    assert (await system.until(workload_id, "COMPLETED"))["generation"] == 1


async def test_a_beat_is_told_what_runs_here_and_was_not_named(system: System) -> None:
    worker = await system.worker()
    await system.submit()
    ref = (await worker.next_assignment()).ref
    assert (await worker.beat()).absent == [], "an assignment may be on its way"
    await worker.report(ref, messages.Started())
    assert (await worker.beat(ref)).absent == []
    assert (await worker.beat()).absent == [ref]


async def test_each_beat_is_answered_by_what_it_names_itself(system: System) -> None:
    """Those that come together share their queries. One that is answered by another's would confirm what it names."""
    worker = await system.worker()
    lost = AttemptRef("cust_a", "wl_of_another", 1)
    named = [[lost] if number % 2 == 0 else [] for number in range(20)]
    replies = await asyncio.gather(*(worker.beat(*attempts) for attempts in named))
    assert [reply.superseded for reply in replies] == named
