"""Checkpoints as objects: listed, downloaded, pinned, and gone back to."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from niyanta import AsyncClient
from niyanta.domain.limits import MAX_PINNED_CHECKPOINTS
from niyanta.errors import NotFoundError
from niyanta.server.store.database import Database
from niyanta.server.store.retention import RetentionStore
from niyanta.wire import messages
from niyanta.wire.messages import AttemptRef, PauseAttempt
from support.scripted_worker import ScriptedWorker
from support.system import System, beating, running_system

FEW = {"checkpoints_kept": 3}


@pytest.fixture
async def system(database_url: str, nats_url: str, subject_prefix: str) -> AsyncIterator[System]:
    """One that keeps few checkpoints."""
    async with running_system(database_url, nats_url, subject_prefix, **FEW) as found:
        yield found


@pytest.fixture
async def worker(system: System) -> AsyncIterator[ScriptedWorker]:
    found = await system.worker()
    async with beating(found):
        yield found


async def started(system: System, worker: ScriptedWorker) -> tuple[str, AttemptRef]:
    workload_id = await system.submit()
    ref = (await worker.next_assignment()).ref
    await worker.report(ref, messages.Started())
    return workload_id, ref


async def listed(system: System, workload_id: str) -> list[dict[str, Any]]:
    status, body, _ = await system.call("GET", f"/workloads/{workload_id}/checkpoints")
    assert status == 200, body
    assert body["workload_id"] == workload_id
    return list(body["checkpoints"])


async def sequences(system: System, workload_id: str) -> list[int]:
    return [row["sequence"] for row in await listed(system, workload_id)]


async def paused(system: System, worker: ScriptedWorker, workload_id: str, ref: AttemptRef, data: bytes) -> None:
    pausing = asyncio.create_task(system.call("POST", f"/workloads/{workload_id}/pause"))
    assert isinstance(await worker.next_command(), PauseAttempt)
    assert (await worker.checkpoint(ref, data)).pause_granted
    await worker.report(ref, messages.Paused())
    assert (await pausing)[0] == 200


@contextlib.asynccontextmanager
async def connected(system: System) -> AsyncIterator[asyncpg.Connection[Any]]:
    conn = await asyncpg.connect(system.database_url)
    try:
        yield conn
    finally:
        await conn.close()


async def test_the_last_ones_and_pinned_ones_are_kept_and_listed(system: System, worker: ScriptedWorker) -> None:
    workload_id, ref = await started(system, worker)
    assert await listed(system, workload_id) == []
    await worker.report(ref, messages.Progressed(40))
    await worker.checkpoint(ref, b'{"n": 1}')
    (first,) = await listed(system, workload_id)
    assert first == first | {
        "sequence": 1,
        "attempt": 1,
        "size_bytes": 8,
        "encoding": "json",
        "sha256": hashlib.sha256(b'{"n": 1}').hexdigest(),
        "progress_percent": 40,
        "worker_id": "w1",
        "pinned": False,
        "in_object_store": False,
    }
    path = f"/workloads/{workload_id}/checkpoints/1/pin"
    for _ in range(2):
        status, body, _ = await system.call("PUT", path)
        assert (status, body) == (200, first | {"pinned": True})
    for number in range(2, 7):
        await worker.checkpoint(ref, b'{"n": %d}' % number)
    assert await sequences(system, workload_id) == [6, 5, 4, 1]
    status, body, _ = await system.call("DELETE", path)
    assert (status, body["pinned"]) == (200, False)
    await worker.checkpoint(ref, b'{"n": 7}')
    assert await sequences(system, workload_id) == [7, 6, 5]


async def test_one_is_downloaded_as_it_was_saved(system: System, worker: ScriptedWorker) -> None:
    workload_id, ref = await started(system, worker)
    await worker.checkpoint(ref, b'{"n": 1}')
    headers = {"Authorization": f"Bearer {system.keys['cust_a']}"}
    async with system.http.get(system.url(f"/v1/workloads/{workload_id}/checkpoints/1"), headers=headers) as response:
        assert (response.status, await response.read()) == (200, b'{"n": 1}')
        assert response.content_type == "application/json"
        assert response.headers["ETag"] == '"' + hashlib.sha256(b'{"n": 1}').hexdigest() + '"'
    for sequence in ("2", "0", "-1", "01", "x", "99999999999"):
        assert (await system.call("GET", f"/workloads/{workload_id}/checkpoints/{sequence}"))[0] == 404
    assert (await system.call("GET", f"/workloads/{workload_id}/checkpoints/1", key="cust_b"))[0] == 404
    async with connected(system) as conn:
        await conn.execute("UPDATE checkpoints SET data = 'broken'")
    assert (await system.call("GET", f"/workloads/{workload_id}/checkpoints/1"))[0] == 404


async def test_a_paused_workload_goes_back_to_any(system: System, worker: ScriptedWorker) -> None:
    workload_id, ref = await started(system, worker)
    await worker.report(ref, messages.Progressed(10))
    await worker.checkpoint(ref, b'{"n": 1}')
    await worker.report(ref, messages.Progressed(60))
    await worker.checkpoint(ref, b'{"n": 2}')
    path = f"/workloads/{workload_id}/resume"
    assert (await system.call("POST", path, {"from_checkpoint": 1}))[0] == 400
    await paused(system, worker, workload_id, ref, b'{"n": 3}')
    status, body, _ = await system.call("POST", path, {"from_checkpoint": 9})
    assert (status, body["error"]["details"]) == (400, {"field": "from_checkpoint", "allowed": [3, 2, 1]})
    status, body, _ = await system.call("POST", path, {"from_checkpoint": 1})
    assert (status, body["checkpoint_sequence"]) == (202, 4)
    again = await worker.next_assignment()
    assert again.checkpoint_sequence == 4
    assert again.progress_percent == 10
    assert (await worker.fetch_checkpoint(again.ref, 4)).data == b'{"n": 1}'
    await worker.report(again.ref, messages.Started())
    assert (await worker.checkpoint(again.ref, b'{"n": 5}')).checkpoint_sequence == 5
    _, history, _ = await system.call("GET", f"/workloads/{workload_id}/audit")
    (resumed,) = [event for event in history["events"] if event["event_type"] == "workload.resumed"]
    assert resumed["details"]["from_checkpoint"] == 1
    await paused(system, worker, workload_id, again.ref, b'{"n": 6}')
    status, body, _ = await system.call("POST", path, {"from_checkpoint": 6})
    assert (status, body["checkpoint_sequence"]) == (202, 6)


async def test_the_work_at_risk_is_told_of_what_runs(system: System, worker: ScriptedWorker) -> None:
    workload_id, ref = await started(system, worker)
    begun = (await system.get(workload_id))["seconds_since_checkpoint"]
    assert begun >= 0
    async with connected(system) as conn:
        await conn.execute("UPDATE workloads SET attempt_started_at = now() - interval '1 hour'")
    assert 3600 <= (await system.get(workload_id))["seconds_since_checkpoint"] < 3700
    await worker.checkpoint(ref, b"{}")
    assert (await system.get(workload_id))["seconds_since_checkpoint"] < 3000
    await worker.report(ref, messages.Completed(b"{}"))
    assert (await system.get(workload_id))["seconds_since_checkpoint"] is None


async def test_a_customer_has_only_so_many_pinned(system: System, worker: ScriptedWorker) -> None:
    workload_id, ref = await started(system, worker)
    await worker.checkpoint(ref, b"{}")
    await worker.checkpoint(ref, b"{}")
    async with connected(system) as conn:
        await conn.execute(
            "INSERT INTO checkpoints (customer_id, workload_id, sequence, generation, encoding, object_key, "
            "size_bytes, sha256, progress_percent, pinned) "
            "SELECT 'cust_a', 'wl_other', n, 1, 'json', 'x', 0, sha256(''), 0, true FROM generate_series(1, $1) n",
            MAX_PINNED_CHECKPOINTS - 1,
        )
    path = f"/workloads/{workload_id}/checkpoints"
    answers = await asyncio.gather(*(system.call("PUT", f"{path}/{sequence}/pin") for sequence in (1, 2)))
    assert sorted(status for status, _, _ in answers) == [200, 409]
    (refused,) = [body for status, body, _ in answers if status == 409]
    assert refused["error"]["details"] == {"max_pinned_checkpoints": MAX_PINNED_CHECKPOINTS}
    assert sum(row["pinned"] for row in await listed(system, workload_id)) == 1


async def test_retention_leaves_what_is_pinned(system: System, worker: ScriptedWorker) -> None:
    workload_id, ref = await started(system, worker)
    await worker.checkpoint(ref, b'{"n": 1}')
    await worker.checkpoint(ref, b'{"n": 2}')
    await worker.report(ref, messages.Completed(b"{}"))
    assert (await system.call("PUT", f"/workloads/{workload_id}/checkpoints/1/pin"))[0] == 200
    database = await Database.open(system.database_url)
    try:
        store, at_once = RetentionStore(database), timedelta(seconds=-1)
        for gone in (True, False):
            found = await store.sweep_checkpoints(("", "", 0), at_once, 10)
            over = [one for one in found if one.is_over]
            assert bool(over) is gone
            await store.forget_checkpoints(over)
        assert await store.forget_checkpoints(found) == 0
        assert await sequences(system, workload_id) == [1]
        far_ahead = 2**47
        assert await store.forget_workloads("cust_a", at_once, far_ahead, 10) == 0
        assert (await system.call("DELETE", f"/workloads/{workload_id}/checkpoints/1/pin"))[0] == 200
        assert await store.forget_workloads("cust_a", at_once, far_ahead, 10) == 1
        (left,) = await store.sweep_checkpoints(("", "", 0), timedelta(days=1), 10)
        assert left.is_over
    finally:
        await database.close()


async def test_the_client_does_all_of_it(system: System, worker: ScriptedWorker) -> None:
    workload_id, ref = await started(system, worker)
    await worker.checkpoint(ref, b'{"n": 1}')
    async with AsyncClient(system.keys["cust_a"], system.url("")) as client:
        assert await client.checkpoints.download(workload_id, 1) == b'{"n": 1}'
        with pytest.raises(NotFoundError):
            await client.checkpoints.download(workload_id, 7)
        assert (await client.checkpoints.pin(workload_id, 1)).pinned
        assert [row.pinned for row in await client.checkpoints.list(workload_id)] == [True]
        assert not (await client.checkpoints.unpin(workload_id, 1)).pinned
        with pytest.raises(NotFoundError):
            await client.checkpoints.pin(workload_id, 2)
        await paused(system, worker, workload_id, ref, b'{"n": 2}')
        resumed = await client.workloads.resume(workload_id, from_checkpoint=1)
        assert resumed.checkpoint_sequence == 3
